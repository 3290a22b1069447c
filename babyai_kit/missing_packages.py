"""Which required packages are not installed, and what to type then.

Imports the standard library alone, so that it can be asked before anything else is imported.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout, if the package is in one."""


def missing_packages() -> list[str]:
    """The names in requirements.txt or, without that file, in the package's metadata that are not there."""
    return [name for name in _required() if not _is_installed(name)]


def remedy() -> str:
    """What to type so that the packages are there: activate the project's environment, or set one up."""
    environments = ROOT / ".venv"
    inside = environments in Path(sys.prefix).parents
    found = sorted(environments.glob("*/bin/activate"), key=lambda path: path.stat().st_mtime)
    if found and not inside:
        own = [path for path in found if path.parts[-3] == f"{sys.version_info[0]}.{sys.version_info[1]}"]
        return f". {_path(([*found, *own])[-1])}"
    if (ROOT / "Makefile").exists() and not inside:
        at = "" if Path.cwd() == ROOT else f" -C {_path(ROOT)}"
        return f"make{at} doctor"
    file = ROOT / "requirements.txt"
    return f"python -m pip install {f'-r {_path(file)}' if file.exists() else 'babyai-kit'}"


def _required() -> list[str]:
    file = ROOT / "requirements.txt"
    try:
        lines = (
            file.read_text(encoding="utf-8").splitlines()
            if file.exists()
            else metadata.requires("babyai-kit")
        )
    except metadata.PackageNotFoundError:
        lines = []
    wanted = (line for line in lines or [] if "extra ==" not in line and not _is_for_older_python(line))
    matches = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in wanted)
    return [match[0] for match in matches if match]


def _is_for_older_python(line: str) -> bool:
    newest = re.search(r"""python_version\s*<\s*["'](\d+)\.(\d+)""", line)
    return newest is not None and sys.version_info[:2] >= (int(newest[1]), int(newest[2]))


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _path(path: Path) -> str:
    """As short as it can be typed from the working directory."""
    return os.path.relpath(path) if Path.cwd() in path.parents else str(path)
