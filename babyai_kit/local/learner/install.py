"""`python -m babyai_kit.local.learner.install`: PyTorch for this Python, never unasked-for CUDA packages.

Knows pip and where PyTorch's CPU builds are; nothing of models. PyTorch's own CPU index is asked first. The
default index is taken only if its build brings no CUDA packages, which is looked up before anything is
downloaded. With a GPU, install `torch` as its site says instead; the learner uses it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_PIP = (
    sys.executable,
    "-m",
    "pip",
    "install",
    "--quiet",
    "--only-binary=:all:",
    "--disable-pip-version-check",
)
_HURRY = ("--retries=0", "--timeout=15")
_BIG = ("nvidia", "cuda", "triton")


def requirement() -> str:
    """The version of torch that the extra `learner` asks for."""
    asked = (Requirement(line) for line in requires("babyai-kit") or ())
    return next(f"{r.name}{r.specifier}" for r in asked if r.name == "torch")


def main() -> int:
    """Install; returns 0, or 1 with the reason on stdout if no CPU build is to be had."""
    try:
        print(f"PyTorch {version('torch')} is there.")
        return 0
    except PackageNotFoundError:
        torch = requirement()
    if _run([*_PIP, *_HURRY, "--index-url", CPU_INDEX, torch]) is not None:
        print("PyTorch is installed, from its CPU index.")
        return 0
    if (reason := _obstacle(torch)) is not None:
        print(f"PyTorch is not installed, and the learner's tests are skipped: {reason}.")
        return 1
    if _run([*_PIP, torch]) is None:
        print("PyTorch is not installed, and the learner's tests are skipped: pip failed.")
        return 1
    print("PyTorch is installed, from the default index.")
    return 0


def _obstacle(torch: str) -> str | None:
    """Why the default index's build is not wanted; None if it is."""
    report = _run([*_PIP, *_HURRY, "--dry-run", "--report", "-", torch])
    if report is None:
        return "no index has a build for this Python"
    names = [item["metadata"]["name"].lower() for item in json.loads(report)["install"]]
    big = [name for name in names if name.startswith(_BIG)]
    return f"the default index has only a build with {len(big)} CUDA packages" if big else None


def _run(command: list[str]) -> str | None:
    """What the command printed; None if it failed."""
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
