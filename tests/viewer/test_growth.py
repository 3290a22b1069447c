"""Runs that are being written, torn, damaged or in shards."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.errors import InputError, JournalError, NoEpisodeError
from babyai_kit.experiment.asking import call_record
from babyai_kit.runs.journal import EPISODES, MANIFEST, STEPS, Journal
from babyai_kit.runs.run import Run
from babyai_kit.runs.shards import merge
from babyai_kit.viewer import growing_file, run_index
from babyai_kit.viewer.library import Library
from babyai_kit.viewer.run_index import RunIndex
from tests.support.journals import Episode, Reply, expert, idle, play, write_run
from tests.viewer.test_run_table import rows


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path)
    yield library
    library.close()


def table_of(library: Library, name: str = "r") -> dict[str, Any]:
    return json.loads(library.table(name).json)


def outcomes(library: Library, name: str = "r") -> list[str]:
    return [row["outcome"] for row in rows(table_of(library, name))]


def begin(tmp_path: Path, *episodes: Episode, seeds: int = 3) -> Path:
    return write_run(tmp_path, episodes, variants=["baseline"], tasks=["goto"], seeds=range(seeds))


def test_a_run_is_followed_as_it_is_written(library: Library, tmp_path: Path) -> None:
    folder = begin(tmp_path)
    assert outcomes(library) == ["planned"] * 3
    episode = play(expert, seed=1)
    with Journal(folder) as journal:
        for number, step in enumerate(episode.steps):
            journal.append(step)
            row = rows(table_of(library))[1]
            assert (row["outcome"], row["length"]) == ("unfinished", number + 1)
        seen = library.episode("r", row["id"])
        assert [s["action"] for s in seen["steps"]] == [s.action for s in episode.steps]
        journal.append(episode.record)
    assert outcomes(library) == ["planned", "success", "planned"]
    assert table_of(library)["summary"]["running"]


def test_a_torn_last_line_is_left_until_it_is_whole(library: Library, tmp_path: Path) -> None:
    episode = play(expert, seed=0)
    folder = begin(tmp_path, episode)
    for name in (STEPS, EPISODES):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-9])
        table = table_of(library)
        assert table["summary"]["damaged"] is None
        path.write_bytes(whole)
    assert outcomes(library)[0] == "success"
    assert len(library.episode("r", episode.record.episode_id)["steps"]) == len(episode.steps)


def test_a_file_that_was_replaced_is_read_anew(library: Library, tmp_path: Path) -> None:
    first, second = play(expert, seed=0), play(expert, seed=1)
    folder = begin(tmp_path, first, second)
    assert outcomes(library) == ["success", "success", "planned"]
    shutil.rmtree(folder)
    begin(tmp_path, second)
    assert outcomes(library) == ["planned", "success", "planned"]
    with pytest.raises(NoEpisodeError):
        library.episode("r", first.record.episode_id)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="no run"):
        library.table("r")


@pytest.mark.parametrize("name", [STEPS, EPISODES])
@pytest.mark.parametrize("line", [b"\x00\xff{", b"{}", b"[1]", b'{"run": "r", "episode_id": 3', b""])
def test_damaged_lines_are_named_and_the_rest_is_shown(
    library: Library, tmp_path: Path, name: str, line: bytes
) -> None:
    episode = play(expert, seed=0)
    folder = begin(tmp_path, episode)
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    (folder / name).write_bytes(b"".join([line, b"\n", *lines]))
    table = table_of(library)
    assert table["summary"]["damaged"].startswith("line 1 of ")
    assert name in table["summary"]["damaged"]
    assert outcomes(library) == ["success", "planned", "planned"]
    assert len(library.episode("r", episode.record.episode_id)["steps"]) == len(episode.steps)
    assert library.search("r", "wall", threading.Event())["ids"] == [episode.record.episode_id]
    (folder / name).unlink()
    (folder / name).write_bytes(b"".join(lines))
    assert table_of(library)["summary"]["damaged"] is None


def test_an_episode_with_a_damaged_step_says_which(library: Library, tmp_path: Path) -> None:
    good, bad = play(expert, seed=0), play(expert, seed=1)
    folder = begin(tmp_path, good, bad)
    text = (folder / STEPS).read_text()
    (folder / STEPS).write_text(text.replace(f'"{bad.steps[1].inference_id}"', "17"))
    assert outcomes(library) == ["success", "success", "planned"]
    assert library.episode("r", good.record.episode_id)["steps"]
    with pytest.raises(JournalError, match="inference_id has an impossible value"):
        library.episode("r", bad.record.episode_id)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}'])
def test_a_damaged_manifest_leaves_what_the_episodes_say(library: Library, tmp_path: Path, text: str) -> None:
    folder = begin(tmp_path, play(expert, seed=0), play(idle, seed=1, stop_after=2))
    (folder / MANIFEST).write_text(text)
    table = table_of(library)
    assert MANIFEST in table["summary"]["damaged"]
    assert [row["outcome"] for row in rows(table)] == ["success", "unfinished"]
    assert table["plan"] == []
    (summary,) = library.summaries()
    assert summary["damaged"] == table["summary"]["damaged"]


def test_files_that_cannot_be_read_take_nothing_down(library: Library, tmp_path: Path) -> None:
    folder = begin(tmp_path, play(expert, seed=0))
    for name in (STEPS, EPISODES):
        (folder / name).unlink()
        (folder / name).mkdir()
    table = table_of(library)
    assert "cannot read" in table["summary"]["damaged"]
    assert [row["outcome"] for row in rows(table)] == ["planned"] * 3


def test_shards_are_one_run(library: Library, tmp_path: Path) -> None:
    episodes = [play(expert, seed=seed) for seed in range(2)]
    for i, episode in enumerate(episodes):
        folder = begin(tmp_path / "parts", episode)
        (tmp_path / "r" / "shards").mkdir(parents=True, exist_ok=True)
        folder.rename(tmp_path / "r" / "shards" / f"{i}-of-2")
    table = table_of(library)
    assert [row["outcome"] for row in rows(table)] == ["success", "success", "planned"]
    assert any("merge r" in note for note in table["summary"]["notes"])
    for episode in episodes:
        assert len(library.episode("r", episode.record.episode_id)["steps"]) == len(episode.steps)
    assert len(library.search("r", "wall", threading.Event())["ids"]) == 2
    merge("r", results=tmp_path)
    merged = table_of(library)
    assert rows(merged) == rows(table)
    assert not any("merge" in note for note in merged["summary"]["notes"])
    (tmp_path / "r" / "shards" / "1-of-2" / MANIFEST).write_text("{")
    assert "1-of-2" in table_of(library)["summary"]["damaged"]


def test_steps_that_were_played_anew_are_the_ones_shown(library: Library, tmp_path: Path) -> None:
    lost = play(["turn left", "turn right", "turn left"], seed=0, stop_after=3)
    folder = begin(tmp_path, lost)
    again = play(["turn left", "go forward"], seed=0, stop_after=2)
    episode_id = lost.steps[0].episode_id
    with Journal(folder) as journal:
        for step in again.steps[1:]:
            journal.append(replace(step, episode_id=episode_id))
    steps = library.episode("r", episode_id)["steps"]
    assert [step["action"] for step in steps] == ["turn left", "go forward"]
    expected = Run.open("r", results=tmp_path).step_records()[episode_id]
    assert [step.action for step in expected] == [step["action"] for step in steps]


def test_steps_are_found_in_pieces_of_a_file(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_file, "CHUNK", 100)  # less than a line
    monkeypatch.setattr(run_index, "PATIENCE_S", 0.0)
    episodes = [play(expert, seed=seed) for seed in range(3)]
    folder = begin(tmp_path)
    with Journal(folder) as journal:
        for number in range(max(len(e.steps) for e in episodes)):
            for episode in episodes:
                if number < len(episode.steps):
                    journal.append(episode.steps[number])
    index = RunIndex(tmp_path, "r")
    index.contents()
    for episode in episodes:
        found = index.trajectory(episode.steps[0].episode_id)
        assert found.steps == tuple(replace(step, run="r") for step in episode.steps)
    assert index.located == 1
    assert len(index.contents().begun) == 3


def test_calls_are_read_as_they_are_written(library: Library, tmp_path: Path) -> None:
    episodes = [play(expert, seed=seed) for seed in range(2)]
    folder = begin(tmp_path, *episodes)
    with Journal(folder) as journal:
        for number in (1, 0, 2, 0):
            for episode in episodes:
                key, step = replace(episode.record.key, run="r"), episode.steps[number]
                call = call_record(
                    key,
                    Reply().answer(),
                    variant_digest=step.variant_digest,
                    episode_id=step.episode_id,
                    step=number,
                )
                journal.append(call)
    index = library.index("r")
    index.contents()
    expected = Run.open("r", results=tmp_path).call_records()
    for episode in episodes:
        calls = index.calls(episode.record.episode_id)
        assert [call.step for call in calls] == [0, 1, 2]
        assert calls == expected[episode.record.episode_id]
