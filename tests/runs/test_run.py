"""`Run`: a run on disk through one object, also one that an earlier version of the kit left."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from babyai_kit import Run, load_episodes
from babyai_kit.errors import InputError, JournalError
from babyai_kit.runs.manifest import FORMAT
from tests.support.journals import SLOW, as_format_3, expert, idle, play, write_run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    episodes = [
        play(expert, seed=1),
        play(expert, seed=2, variant="history"),
        play(idle, seed=2),
        play(["turn left"] * 3, seed=3, error=SLOW),
        play(idle, seed=4, stop_after=2),
    ]
    write_run(tmp_path, episodes)
    return tmp_path


def before_formats(folder: Path) -> None:
    """Turn a run into what the kit wrote before runs had a format."""
    manifest = as_format_3(json.loads((folder / "run.json").read_text()))
    del manifest["format"]
    (folder / "run.json").write_text(json.dumps(manifest))
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    for line in lines:
        del line["error_kind"]
    (folder / "episodes.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_a_run_shows_its_plan_steps_episodes_and_trajectories(results: Path) -> None:
    run = Run.open("r", results=results)
    assert (run.name, run.folder, run.manifest.format) == ("r", results / "r", FORMAT)
    assert len(run.planned()) == 2 * 4
    pd.testing.assert_frame_equal(run.episodes(), load_episodes("r", results=results))
    assert list(run.episodes()["error_kind"].dropna()) == ["timeout"]
    steps = run.steps()
    assert len(steps) == len((results / "r" / "steps.jsonl").read_text().splitlines())
    assert list(steps.columns) == list(json.loads((results / "r" / "steps.jsonl").read_text().split("\n")[0]))
    outcomes = [t.outcome for t in run.trajectories()]
    assert sorted(outcomes) == ["error", "failure", "success", "success", "unfinished"]


def test_a_run_of_before_formats_gives_the_same(results: Path) -> None:
    new = Run.open("r", results=results)
    tables, trajectories, planned = (new.steps(), new.episodes()), new.trajectories(), new.planned()
    before_formats(results / "r")
    old = Run.open("r", results=results)
    pd.testing.assert_frame_equal(old.steps(), tables[0])
    pd.testing.assert_frame_equal(old.episodes(), tables[1])
    assert (old.trajectories(), old.planned(), old.manifest) == (trajectories, planned, new.manifest)


def test_a_run_of_a_later_format_is_refused_in_one_line(results: Path) -> None:
    path = results / "r" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))
    with pytest.raises(
        JournalError, match=rf"has format {FORMAT + 1}, which a later version of the kit wrote; install"
    ):
        Run.open("r", results=results)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": "x"}', '{"plan": 3}', "null"])
def test_a_damaged_manifest_is_reported(results: Path, content: str) -> None:
    (results / "r" / "run.json").write_text(content)
    with pytest.raises((JournalError, InputError), match=r"is damaged; move|no run 'r'"):
        Run.open("r", results=results)


def test_what_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run 'r' under"):
        Run.open("r", results=tmp_path)
    with pytest.raises(InputError, match=r"run name '\.\./r' is not valid"):
        Run.open("../r", results=tmp_path)
