"""`python -m babyai_kit.local.learner.install`: PyTorch for this Python, without CUDA packages.

PyTorch's own CPU index is tried first. The default index is used only if its build brings no CUDA packages,
which is checked before anything is downloaded. To use a GPU, install `torch` as its site says instead; the
learner uses it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_FAIL_FAST = ("--retries=0", "--timeout=15")
_CUDA = ("nvidia", "cuda", "triton")


def requirement() -> str:
    """The version of torch that the extra `learner` requires, as pip takes it."""
    requirements = (Requirement(line) for line in requires("babyai-kit") or ())
    return next(f"{r.name}{r.specifier}" for r in requirements if r.name == "torch")


def main() -> int:
    """Install; returns 0, or 1 with the reason on stdout if there is no CPU build."""
    try:
        print(f"PyTorch {version('torch')} is already installed.")
        return 0
    except PackageNotFoundError:
        torch = requirement()
    if _pip_install(*_FAIL_FAST, "--index-url", CPU_INDEX, torch) is not None:
        print("PyTorch is installed, from its CPU index.")
        return 0
    reason = _obstacle(torch)
    if reason is not None:
        print(f"PyTorch is not installed, and the learner's tests are skipped: {reason}.")
        return 1
    if _pip_install(torch) is None:
        print("PyTorch is not installed, and the learner's tests are skipped: pip failed.")
        return 1
    print("PyTorch is installed, from the default index.")
    return 0


def _obstacle(torch: str) -> str | None:
    """Why the default index's build is not used; None if it is."""
    report = _pip_install(*_FAIL_FAST, "--dry-run", "--report", "-", torch)
    if report is None:
        return "no index has a build for this Python"
    names = [item["metadata"]["name"].lower() for item in json.loads(report)["install"]]
    cuda = [name for name in names if name.startswith(_CUDA)]
    return f"the default index has only a build with {len(cuda)} CUDA packages" if cuda else None


def _pip_install(*arguments: str) -> str | None:
    """What `pip install` printed; None if it failed."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
    result = subprocess.run(
        [*command, "--disable-pip-version-check", *arguments], capture_output=True, text=True
    )
    return result.stdout if result.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
