"""The project is found from wherever a command or notebook runs; what is told is taken as told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from babyai_kit.__main__ import main
from babyai_kit.configuration.project import (
    PROJECT_CONFIG,
    PROJECT_ENV,
    PROJECT_RESULTS,
    PROJECT_SETTING,
    project_root,
)
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import ConfigError
from babyai_kit.runs.run import Run
from tests.support.journals import expert, idle, play, write_run
from tests.support.processes import environment
from tests.support.project import CONFIG, ROOT


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run and settings, outside the checkout."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(CONFIG, folder / "config")
    episodes = [play(p, variant=v) for v, p in (("baseline", idle), ("history", expert))]
    write_run(folder / "results", episodes)
    (folder / ".env").write_text("AGENT_TIMEOUT_MS=1234\n")
    return folder


@pytest.fixture(params=["top", "results", "run", "elsewhere"])
def place(
    request: pytest.FixtureRequest, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Where the user is; from elsewhere the project is named."""
    places = {"top": project, "results": project / "results", "run": project / "results/r"}
    place = places.get(request.param, tmp_path)
    if place == tmp_path:
        monkeypatch.setenv(PROJECT_SETTING, str(project))
    monkeypatch.chdir(place)
    return place


def test_everything_of_the_project_is_found(project: Path, place: Path, capsys) -> None:
    assert project_root().resolve() == project.resolve()
    assert str(PROJECT_RESULTS) == ("results" if place == project else str(project / "results"))
    assert load_config(PROJECT_CONFIG, load_settings()).path.resolve() == project / "config"
    assert load_settings(environ={}).timeout_ms == 1234
    assert Run.open("r").folder.resolve() == project / "results/r"
    assert main(["compare", "r", "--measures", "success"]) == 0
    assert "2 episodes, 0 with an error" in capsys.readouterr().out


def test_what_is_told_is_relative_to_the_working_directory(project: Path, place: Path, capsys) -> None:
    assert main(["compare", "r", "--results", "other"]) == 2
    assert "no run 'r' under other" in capsys.readouterr().err


def test_from_anywhere_else_it_is_the_checkout_of_the_package(tmp_path: Path) -> None:
    """Also where another application has a configuration of its own."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/tensorzero.toml").write_text("[functions.chat]\n")
    code = "from babyai_kit.configuration.project import PROJECT_CONFIG; print(PROJECT_CONFIG)"
    command = [sys.executable, "-c", code]
    env = environment(PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(ROOT / "config")


def test_a_setting_that_is_no_folder_is_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv(PROJECT_SETTING, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="is not a folder"):
        load_settings(PROJECT_ENV)
    assert main(["report", "r"]) in (1, 2)
    assert "is not a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    assert "results/ in the project" in capsys.readouterr().out
