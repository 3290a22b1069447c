"""Searching a run's texts, two agents side by side, figures, and news of changes."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pandas as pd
import pytest

from babyai_kit import Run, compare
from babyai_kit.errors import InputError
from babyai_kit.runs.journal import Journal
from babyai_kit.viewer.comparison import Side
from babyai_kit.viewer.library import Library
from tests.support.journals import Reply, expert, idle, play, write_run
from tests.viewer.answers import ask, data
from tests.viewer.conftest import served


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path)
    yield library
    library.close()


def test_texts_are_found_in_whichever_case(library: Library, tmp_path: Path) -> None:
    said = {
        0: Reply("turn left", thinking='The KEY is "here"\nand there: Ünïcode ☃'),
        1: Reply(raw="I refuse to <b>play</b>"),
        2: Reply("turn right", thinking="\x1b[31m back\\slash"),
        3: Reply("drop"),
    }
    episodes = {
        seed: play([reply], seed=seed, variant="reasoning", stop_after=1) for seed, reply in said.items()
    }
    write_run(tmp_path, episodes.values())

    def found(text: str) -> set[int]:
        answer = library.search("r", text, threading.Event())
        assert answer["whole"]
        ids = {episode.steps[0].episode_id: seed for seed, episode in episodes.items()}
        return {ids[name] for name in answer["ids"]}

    assert found("the key is") == {0}
    assert found('"HERE"') == {0}
    assert found("ünÏCODE ☃") == {0}
    assert found("<B>PLAY</b>") == {1}
    assert found("back\\slash") == {2}
    assert found("\x1b[31m") == {2}
    assert found('"action": "drop"') == {3}
    assert found("steps forward") == {
        seed for seed, episode in episodes.items() if "steps forward" in episode.steps[0].observation
    }
    # What stands in the files alone is not said by anybody.
    for text in ("variant_digest", "inference", "offline-player", "null"):
        assert found(text) == set(), text


@pytest.mark.parametrize("text", ["", "  ", "x" * 501])
def test_what_cannot_be_looked_for_is_refused(viewer: str, text: str) -> None:
    status, _, body = ask(viewer, f"api/runs/first/search?q={text.replace(' ', '+')}")
    assert status == 404
    assert "use 1 to 500 characters" in json.loads(body)["error"]


def test_a_search_can_be_stopped(library: Library, tmp_path: Path) -> None:
    write_run(tmp_path, [play(idle)])
    stop = threading.Event()
    stop.set()
    assert library.search("r", "wall", stop) == {"ids": [], "whole": False}


def test_a_comparison_is_that_of_the_statistics(viewer: str, results: Path) -> None:
    episodes = Run.open("first", results=results).episodes()
    row = compare(episodes, "baseline", measures=["success"]).iloc[0]
    query = {"a.run": "first", "a.agent": "baseline", "b.run": "first", "b.agent": "reasoning"}
    found = data(viewer, "compare", **query)
    for name, column in (
        ("difference", "difference"),
        ("low", "low"),
        ("high", "high"),
        ("pValue", "p_value"),
    ):
        assert found[name] == pytest.approx(row[column]), name
    assert found["seeds"] == row["n_seeds"]
    assert found["text"].startswith("reasoning is worse than baseline by ")
    assert found["a"] == {"run": "first", "agent": "baseline", "model": "offline-player"}
    assert [(r["task"], r["seed"]) for r in found["rows"][:3]] == [("goto", 0), ("open", 0), ("goto", 1)]
    assert {(r["a"]["outcome"], r["b"]["outcome"]) for r in found["rows"]} >= {
        ("success", "failure"),
        ("success", "error"),
        ("planned", "unfinished"),
    }
    other = {"a.run": "first", "a.agent": "reasoning", "b.run": "first", "b.agent": "baseline"}
    back = data(viewer, "compare", **other)
    assert back["difference"] == pytest.approx(-found["difference"])


def test_agents_of_two_runs_are_compared(viewer: str, results: Path) -> None:
    tables = [Run.open(name, results=results).episodes() for name in ("first", "second")]
    both = pd.concat([tables[0][tables[0]["variant"] == "baseline"], tables[1]], ignore_index=True)
    row = compare(both, {"run": "first"}, measures=["success"], by=("run",)).iloc[0]
    found = data(viewer, "compare", **{"a.run": "first", "a.agent": "baseline", "b.run": "second"})
    assert found["difference"] == pytest.approx(row["difference"])
    assert found["pValue"] == pytest.approx(row["p_value"])
    assert "history, second is worse than baseline, first" in found["text"]
    assert {r["repeat"] for r in found["rows"]} == {0}


def test_what_cannot_be_compared_says_why(library: Library, tmp_path: Path) -> None:
    write_run(tmp_path, [play(expert, seed=0)], "a")
    write_run(tmp_path, [play(expert, seed=9)], "b")
    write_run(tmp_path, [play(idle, seed=0, stop_after=1)], "c")
    assert "no task and seed in common" in library.compare(Side("a"), Side("b"))["text"]
    assert library.compare(Side("a"), Side("c"))["text"] == "No pair of episodes has ended yet."
    itself = library.compare(Side("a"), Side("a"))
    assert itself["difference"] == 0
    with pytest.raises(InputError, match="unknown agent 'x'"):
        library.compare(Side("a", "x"), Side("b"))
    with pytest.raises(InputError, match="unknown model 'x'"):
        library.compare(Side("a", "baseline", "x"), Side("b"))
    with pytest.raises(InputError, match="no run 'x'"):
        library.compare(Side("x"), Side("b"))


def test_only_episodes_of_one_number_of_objects_are_compared(library: Library, tmp_path: Path) -> None:
    few = [play(policy, seed=0, variant=v) for v, policy in (("baseline", expert), ("history", expert))]
    many = [
        play(policy, seed=seed, variant=v, num_dists=8)
        for v, policy in (("baseline", expert), ("history", idle))
        for seed in range(2)
    ]
    write_run(tmp_path, few, "r")
    with Journal(tmp_path / "r") as journal:
        for episode in many:
            journal.append(replace(episode.record, run="r"))
    found = library.compare(Side("r", "baseline"), Side("r", "history"))
    assert found["seeds"] == 2
    assert found["text"].endswith("These are the episodes with 8 distracting objects.")


def test_figures_are_drawings_with_titles_and_captions(viewer: str) -> None:
    figures = data(viewer, "runs", "second", "figures")
    names = [figure["name"] for figure in figures]
    assert names[0] == "success_rate"
    assert "cost" not in names
    for figure in figures:
        root = ElementTree.fromstring(figure["svg"])
        assert root.tag.endswith("svg")
        assert "<script" not in figure["svg"]
        assert figure["title"]
        assert figure["caption"]


def events(address: str) -> Iterator[dict[str, Any]]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    connection.request("GET", f"{parts.path}api/events")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    try:
        while line := answer.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
            elif line.startswith(b": "):
                yield {}
    finally:
        connection.close()


def test_changes_of_runs_are_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [play(expert, seed=0)], seeds=[0, 1])
    episode = play(expert, seed=1)
    with served(tmp_path) as address:
        stream = events(address)
        assert next(stream) == {}  # it listens
        data(address, "runs", "r")
        done = threading.Event()

        def write() -> None:
            # Nobody knows when the first look is taken, so there is always something new.
            steps = iter(episode.steps)
            with Journal(folder) as journal:
                while not done.wait(0.2):
                    step = next(steps, None)
                    if step is not None:
                        journal.append(step)
                    else:
                        (folder / "run.json").touch()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            # Of a run that is being written one hears at once, and then whenever something was added.
            for event in filter(None, stream):
                assert event == {"run": "r"}
                if data(address, "runs", "r")["episodes"]["id"][1] == episode.steps[0].episode_id:
                    break
        finally:
            done.set()
            writer.join()
            stream.close()
