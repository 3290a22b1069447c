"""`python -m babyai_kit.local.learner.install`: PyTorch for this Python, without CUDA packages.

With pip or, in an environment that has none, with uv. PyTorch's own CPU index is tried first. The default
index is used only if its build brings no CUDA packages, which is checked before anything is downloaded. To
use a GPU, install `torch` as its site says instead; the learner uses it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import tomlkit
from packaging.requirements import Requirement

from babyai_kit.hostile_text import one_line

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_FAIL_FAST = {"PIP_RETRIES": "0", "PIP_TIMEOUT": "15", "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "15"}
_CUDA = ("nvidia", "cuda", "triton")


def requirement() -> str:
    """The version of torch that the extra `learner` requires, as pip takes it."""
    try:
        lines = requires("babyai-kit") or []
    except PackageNotFoundError:  # run from a checkout, which is enough
        text = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
        lines = tomlkit.parse(text).unwrap()["project"]["optional-dependencies"]["learner"]
    requirements = map(Requirement, lines)
    return next(f"{r.name}{r.specifier}" for r in requirements if r.name == "torch")


def main() -> int:
    """Install; returns 0, or 1 with the reason on stdout if there is no CPU build."""
    try:
        print(f"PyTorch {version('torch')} is already installed.")
        return 0
    except PackageNotFoundError:
        torch = requirement()
    installer = _installer()
    reason: str | None
    if installer is None:
        reason = "this environment has neither pip nor uv; run: python -m ensurepip, then this again"
    elif _install(installer, "--index-url", CPU_INDEX, torch, fail_fast=True).returncode == 0:
        print("PyTorch is installed, from its CPU index.")
        return 0
    else:
        reason = _obstacle(installer, torch)
        if reason is None:
            result = _install(installer, torch)
            if result.returncode == 0:
                print("PyTorch is installed, from the default index.")
                return 0
            reason = f"{installer[0]} failed ({_last_line(result.stderr)})"
    print(f"PyTorch is not installed, and the learner's tests are skipped: {reason}.")
    return 1


def _installer() -> list[str] | None:
    """The command that installs packages into this environment; None if there is none."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    return [uv, "pip", "install", "--python", sys.executable] if uv else None


def _install(
    installer: list[str], *arguments: str, fail_fast: bool = False
) -> subprocess.CompletedProcess[str]:
    command = [*installer, "--only-binary=:all:", *arguments]
    environment = os.environ | (_FAIL_FAST if fail_fast else {})
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def _obstacle(installer: list[str], torch: str) -> str | None:
    """Why the default index's build is not used; None if it is."""
    with_pip = installer[0] == sys.executable
    report = ("--quiet", "--report", "-") if with_pip else ()
    result = _install(installer, "--dry-run", *report, torch, fail_fast=True)
    if result.returncode:
        return f"no index has a build for this Python ({_last_line(result.stderr)})"
    if with_pip:
        names = [item["metadata"]["name"].lower() for item in json.loads(result.stdout)["install"]]
    else:  # uv has no report: a line " + torch==2.13.0" per package, on stderr
        names = re.findall(r"(?m)^ \+ ([\w.-]+)", result.stderr)
    cuda = [name for name in names if name.startswith(_CUDA)]
    return f"the default index has only a build with {len(cuda)} CUDA packages" if cuda else None


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return one_line(lines[-1], 200) if lines else "without a reason"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted; the same command begins again", file=sys.stderr)
        sys.exit(130)
