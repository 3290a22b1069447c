"""Installing PyTorch into environments as people have them: without pip and the kit, as uv makes them."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
import tomlkit

from tests.support.processes import environment
from tests.support.project import ROOT

pytestmark = pytest.mark.e2e

UV = """#!/bin/sh
echo "$@" >> "$0.calls"
case "$*" in
  *--index-url*) {cpu} ;;
  *--dry-run*) printf 'Would install 3 packages\\n{packages}' >&2 ;;
esac
"""
"""uv as far as it is asked."""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python whose environment has the kit's dependencies, but neither pip, PyTorch nor the kit."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.lower().startswith(("pip", "torch", "babyai", "__editable__", "uv")):
            (site / entry.name).symlink_to(entry)
    return tmp_path / "venv/bin/python"


def install(python: Path, uv: str | None = None) -> tuple[int, str, list[str]]:
    """Exit code, output and the calls of uv, a script with this text."""
    tools = python.parent.parent / "tools"
    tools.mkdir()
    if uv is not None:
        (tools / "uv").write_text(uv)
        (tools / "uv").chmod(0o755)
    done = subprocess.run(
        [python, "-m", "babyai_kit.local.learner.install"],
        cwd=ROOT,
        env=environment(PATH=f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin", PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    calls = tools / "uv.calls"
    return done.returncode, done.stdout, calls.read_text().splitlines() if calls.exists() else []


def test_without_pip_and_uv_it_says_what_to_type(python: Path):
    code, told, _ = install(python)
    assert code == 1
    assert "this environment has neither pip nor uv; run: python -m ensurepip" in told


def test_without_pip_uv_installs_what_the_extra_asks_for(python: Path):
    code, told, (call,) = install(python, UV.format(cpu="exit 0", packages=""))
    assert (code, told) == (0, "PyTorch is installed, from its CPU index.\n")
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text()).unwrap()["project"]
    (wanted,) = project["optional-dependencies"]["learner"]
    name, _, _ = wanted.partition(">")
    assert call.startswith(f"pip install --python {python} ")
    assert call.split()[-1].startswith(f"{name}>=") or call.split()[-1].startswith(f"{name}<=")


def test_uv_is_not_let_to_bring_cuda_packages(python: Path):
    packages = r" + torch==2.13.0\n + nvidia-cublas==13.1\n + triton==3.7\n"
    code, told, calls = install(python, UV.format(cpu="exit 2", packages=packages))
    assert code == 1
    assert "the default index has only a build with 2 CUDA packages" in told
    assert len(calls) == 2


def test_uv_installs_from_the_default_index_where_that_has_no_cuda_packages(python: Path):
    code, told, calls = install(python, UV.format(cpu="exit 2", packages=r" + torch==2.13.0\n"))
    assert (code, told) == (0, "PyTorch is installed, from the default index.\n")
    assert "--dry-run" in calls[1]
    assert "--dry-run" not in calls[2]
