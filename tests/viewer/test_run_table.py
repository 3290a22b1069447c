"""What the browser gets of a run: its episodes as columns, its agents' figures, the plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run, load_failures
from babyai_kit.stats import summarize
from babyai_kit.viewer.library import Library
from tests.support.journals import add_plan, expert, idle, play, rename_model, write_run
from tests.viewer.answers import data


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The episodes of a RunTable, with names in place of numbers."""
    columns = table["episodes"]
    assert len({len(column) for column in columns.values()}) == 1
    episodes = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for row in episodes:
        for name in ("agent", "model", "task", "outcome"):
            row[name] = table["names"][f"{name}s"][row[name]]
        if row["failure"] >= 0:
            row["failure"] = table["names"]["failures"][row["failure"]]["name"]
    return episodes


@pytest.fixture
def library(tmp_path: Path) -> Any:
    library = Library(tmp_path)
    yield library
    library.close()


def table_of(library: Library, name: str = "r") -> dict[str, Any]:
    return json.loads(library.table(name).json)


def test_every_planned_episode_has_a_row_in_the_order_of_the_plan(viewer: str, results: Path) -> None:
    table = data(viewer, "runs", "first")
    planned = Run.open("first", results=results).planned()
    episodes = rows(table)
    places = [(e["agent"], e["model"], e["task"], e["seed"], e["repeat"]) for e in episodes]
    assert places == [(k.variant, k.model, k.task, k.seed, k.repeat) for k in planned]
    outcomes = {(e["agent"], e["task"], e["seed"]): e["outcome"] for e in episodes}
    assert outcomes["baseline", "goto", 0] == "success"
    assert outcomes["reasoning", "goto", 0] == "failure"
    assert outcomes["reasoning", "open", 2] == "error"
    assert outcomes["reasoning", "goto", 3] == "unfinished"
    assert outcomes["baseline", "open", 3] == "planned"
    by_place = {(e["agent"], e["task"], e["seed"]): e for e in episodes}
    assert by_place["reasoning", "goto", 3]["length"] == 2
    assert by_place["reasoning", "open", 2]["error"].startswith("timeout: ")
    assert by_place["baseline", "open", 3]["id"] is None
    assert by_place["reasoning", "open", 0]["invalid"] == 60


def test_rows_are_those_of_the_table_of_episodes(viewer: str, results: Path) -> None:
    table = Run.open("second", results=results).episodes()
    by_id = {row["id"]: row for row in rows(data(viewer, "runs", "second"))}
    assert len(by_id) == len(table)
    for episode in table.to_dict("records"):
        row = by_id[episode["episode_id"]]
        assert row["length"] == episode["episode_length"]
        assert row["shortest"] == episode["shortest_length"]
        assert row["episodeReturn"] == episode["episode_return"]
        assert row["maxSteps"] == episode["max_steps"]
        assert row["inputTokens"] == episode["input_tokens"]
        assert row["cost"] is None
        assert row["seconds"] == episode["wall_s"]


def test_figures_of_agents_are_those_of_the_statistics(viewer: str, results: Path) -> None:
    (run,) = (run for run in data(viewer, "runs") if run["run"] == "first")
    table = summarize(Run.open("first", results=results).episodes()).set_index("variant")
    assert [row["agent"] for row in run["agentRows"]] == ["baseline", "reasoning"]
    for row in run["agentRows"]:
        expected = table.loc[row["agent"]]
        for name, column in (
            ("success", "success"),
            ("low", "success_low"),
            ("high", "success_high"),
            ("episodeReturn", "episode_return"),
            ("steps", "episode_length"),
            ("inputTokens", "input_tokens"),
            ("outputTokens", "output_tokens"),
        ):
            assert row[name] == pytest.approx(expected[column]), name
    assert (run["planned"], run["finished"], run["errors"]) == (16, 11, 1)
    assert run["notes"] == ["Offline player: not an LLM"]
    assert run["damaged"] is None


def test_failure_classes_come_by_and_by(library: Library, tmp_path: Path) -> None:
    write_run(tmp_path, [play(idle, seed=seed) for seed in range(3)] + [play(["fly"] * 64, seed=3)])
    begun = table_of(library)
    assert begun["classified"] < 1
    assert -2 in begun["episodes"]["failure"]
    library.wait_for_failures("r")
    whole = table_of(library)
    assert whole["classified"] == 1
    assert whole["version"] != begun["version"]
    expected = load_failures("r", results=tmp_path).set_index("episode_id")["failure"]
    assert {row["id"]: row["failure"] for row in rows(whole)} == dict(expected)


def test_several_plans_keep_their_agents_apart(library: Library, tmp_path: Path) -> None:
    episodes = [play(expert, variant="history", history_length=length) for length in (4, 8)]
    write_run(tmp_path, episodes[:1], history_length=4)
    add_plan(tmp_path, variants=["history"], tasks=["goto"], seeds=[0], history_length=8)
    from babyai_kit.runs.journal import Journal

    with Journal(tmp_path / "r") as journal:
        journal.append(episodes[1].record)
    table = table_of(library)
    assert table["names"]["agents"] == ["history, 4 steps", "history, 8 steps"]
    assert [row["agent"] for row in table["summary"]["agentRows"]] == table["names"]["agents"]
    assert {"label": "Plan", "value": "2 of 2"} in table["plan"]


def test_rows_of_earlier_prompts_do_not_count(library: Library, tmp_path: Path) -> None:
    new, old = play(expert, seed=0), play(idle, seed=1)
    old = replace(old, steps=[replace(s, variant_digest="0" * 12) for s in old.steps])
    write_run(tmp_path, [new, replace(old, record=replace(old.record, variant_digest="0" * 12))])
    assert [row["outcome"] for row in rows(table_of(library))] == ["success", "planned"]


def test_hostile_names_are_visible(library: Library, tmp_path: Path) -> None:
    folder = write_run(tmp_path, [play(expert, model="m")], model="m")
    rename_model(folder, "m", "<b>\u202e\x1b[31m")
    assert table_of(library)["names"]["models"] == ["<b>\ufffd\u241b[31m"]
