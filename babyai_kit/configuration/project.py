"""Where the project is: the folder of `config/`, `.env`, `results/` and `data/`.

Found from wherever a command or a notebook runs, so that each of these is the same one for all of them. A
path that the user gives is taken as given, relative to the working directory.
"""

from __future__ import annotations

import os
from pathlib import Path

from babyai_kit.errors import ConfigError

PROJECT_SETTING = "BABYAI_PROJECT"
"""Names the project; exported, not in .env, which lies in the project."""

StrPath = str | os.PathLike[str]


def project_root() -> Path:
    """The project's folder; `.` if it is the working directory, so that paths stay as short as they can be.

    BABYAI_PROJECT, if that is exported; else the working directory or the nearest folder above it that
    configures the function `act`; else the checkout that the package is in; else the working directory.
    Raises ConfigError if BABYAI_PROJECT is not a folder.
    """
    here = Path.cwd()
    if named := os.environ.get(PROJECT_SETTING):
        folder = Path(named).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigError(
                f"{PROJECT_SETTING}={named} is not a folder; set it to the folder that has config/"
            )
    else:
        checkout = Path(__file__).resolve().parents[2]
        folder = next(filter(_is_project, (here, *here.parents, checkout)), here)
    return Path() if folder == here else folder


class InProject(os.PathLike[str]):
    """A path in the project, looked up each time it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __fspath__(self) -> str:
        return str(project_root() / self._name)

    def __str__(self) -> str:
        return self.__fspath__()

    def __repr__(self) -> str:
        return f"<{self._name} of the project>"


class HereOrInProject(InProject):
    """The same, unless the working directory has such a file."""

    def __fspath__(self) -> str:
        return self._name if Path(self._name).is_file() else super().__fspath__()


PROJECT_CONFIG = InProject("config")
PROJECT_DATA = InProject("data")
PROJECT_ENV = HereOrInProject(".env")
PROJECT_RESULTS = InProject("results")


def _is_project(folder: Path) -> bool:
    try:
        return any("functions.act" in file.read_text("utf-8") for file in folder.glob("config/*.toml"))
    except (OSError, ValueError):
        return False
