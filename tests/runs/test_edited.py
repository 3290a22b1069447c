"""Journals that somebody edited: what was lost or changed is said, with its line; nothing is a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run, load_episodes, load_failures, load_replay, write_report
from babyai_kit.errors import JournalError, NoEpisodeError
from tests.support.journals import expert, idle, play, write_run
from tests.support.project import CONFIG

Rows = list[dict[str, Any]]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_run(tmp_path, [play(expert, seed=1), play(idle, seed=2), play(idle, seed=3, stop_after=9)])
    return tmp_path


def edit(results: Path, change: Callable[[Rows], object], name: str = "steps.jsonl") -> Path:
    file = results / "r" / name
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change(rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def error_of(results: Path, seed: int) -> str:
    with pytest.raises(JournalError) as error:
        load_replay("r", results=results, seed=seed).html()
    assert "\n" not in str(error.value)
    return str(error.value)


def lines_of(results: Path, seed: int) -> list[int]:
    """Numbers, from 0, of the lines of the episode with this seed."""
    rows = [json.loads(line) for line in (results / "r/steps.jsonl").read_text().splitlines()]
    return [number for number, row in enumerate(rows) if row["seed"] == seed]


def test_a_lost_step_is_named(results: Path):
    first, *_ = lines_of(results, 2)

    def lose(rows: Rows) -> None:
        del rows[first + 7], rows[first + 3 : first + 5]

    edit(results, lose)
    line = error_of(results, 2)
    assert (
        "steps.jsonl has no line for step 3 to 4, 7 of goto, seed 2; restore the file, or run the same"
        in line
    )
    with pytest.raises(JournalError, match=r"no line for step 3 to 4, 7"):
        load_failures("r", results=results)
    assert load_replay("r", results=results, seed=1).html()


def test_the_steps_of_an_unfinished_episode_are_missed_too(results: Path):
    first, *_ = lines_of(results, 3)
    edit(results, lambda rows: rows.pop(first))
    assert "has no line for step 0 of goto, seed 3" in error_of(results, 3)


def test_an_episode_without_any_step_left_cannot_be_played_on(results: Path):
    edit(results, lambda rows: rows.__setitem__(slice(None), [row for row in rows if row["seed"] != 2]))
    assert error_of(results, 2).endswith("of goto, seed 2; restore the file")
    with pytest.raises(NoEpisodeError):
        load_replay("r", results=results, seed=4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"observation": "a hedge"}, "the environment shows another observation"),
        ({"reward": 0.25}, "the environment gives another reward"),
    ],
)
def test_a_changed_step_is_named_with_its_line(results: Path, change: dict[str, Any], told: str):
    number = lines_of(results, 2)[4]
    file = edit(results, lambda rows: rows[number].update(change))
    line = error_of(results, 2)
    assert (
        f"step 4 of goto, seed 2, does not replay: {told} at line {number + 1} of {file}; that line or"
        in line
    )


def test_a_changed_action_shows_at_the_line_after_it(results: Path):
    number = lines_of(results, 2)[4]
    edit(results, lambda rows: rows[number].update(action="turn right"))
    assert f"at line {number + 2} of" in error_of(results, 2)


def test_a_step_after_the_end_is_named(results: Path):
    last = lines_of(results, 1)[-1]
    length = len(lines_of(results, 1))

    def prolong(rows: Rows) -> None:
        rows.insert(last + 1, rows[last] | {"step": length, "inference_id": "x"})

    edit(results, prolong)
    edit(results, lambda rows: rows[0].update(episode_length=length + 1), "episodes.jsonl")
    assert f"step {length} of goto, seed 1, does not replay: the episode had ended before it" in error_of(
        results, 1
    )


def test_other_versions_are_named_where_they_recorded_it(results: Path):
    number = lines_of(results, 2)[4]
    edit(results, lambda rows: rows[number].update(observation="a hedge"))
    manifest = results / "r/run.json"
    content = json.loads(manifest.read_text())
    content["versions"]["minigrid"] = "1.0.0"
    manifest.write_text(json.dumps(content))
    assert "; minigrid 1.0.0 recorded it and " in error_of(results, 2)
    assert "is installed; install that version" in error_of(results, 2)


def test_a_step_that_was_played_anew_replaces_what_came_after_it(results: Path):
    """As a run does that goes on after a line was lost: the old later lines follow no more."""
    (first, *_), before = lines_of(results, 3), Run.open("r", results=results).step_records()

    def play_anew(rows: Rows) -> None:
        rows.append(rows[first + 3] | {"action": "turn right", "inference_id": "new"})

    edit(results, play_anew)
    (episode,) = (
        steps for steps in Run.open("r", results=results).step_records().values() if steps[0].seed == 3
    )
    assert [step.step for step in episode] == [0, 1, 2, 3]
    assert episode[3].inference_id == "new"
    edit(results, lambda rows: rows.pop())
    edit(results, lambda rows: rows.extend(list(rows)))
    assert Run.open("r", results=results).step_records() == before


DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    "line", [DEEP, f'{{"step": {DEEP}}}', "5", "null", "[]", '"x"', "9" * 5000, "\x00", "{"]
)
@pytest.mark.parametrize("name", ["steps.jsonl", "episodes.jsonl", "registered.jsonl"])
def test_a_line_that_is_no_record_is_named(results: Path, line: str, name: str):
    file = results / "r" / name
    content = file.read_text()
    file.write_text(f"{line}\n{content}")
    run = Run.open("r", results=results)
    with pytest.raises(JournalError, match=rf"line 1 of .*{name} is not a valid .*; fix or delete that line"):
        (run.step_records(), run.episode_records(), run.registrations())


@pytest.mark.parametrize(
    "change",
    [
        {"input_tokens": 10**400},
        {"output_tokens": 2**63},
        {"output_tokens": "5"},
        {"output_tokens": float("nan")},
        {"cost_usd": float("inf")},
        {"seed": 2**64},
        {"seed": 1.5},
        {"seed": None},
        {"step": -1},
        {"step": 10**12},
        {"valid": 1},
        {"reward": None},
        {"observation": ["x"]},
        {"answer": {"a": {"b": []}}},
        {"action": "fly"},
        {"episode_id": 7},
    ],
)
def test_a_step_with_an_impossible_value_is_named_with_the_field(results: Path, change: dict[str, Any]):
    (field,) = change
    edit(results, lambda rows: rows[5].update(change))
    with pytest.raises(JournalError, match=rf"line 6 of .* is not a valid StepRecord \({field} has"):
        Run.open("r", results=results).steps()


@pytest.mark.parametrize(
    "change",
    [
        {"input_tokens": 10**400},
        {"episode_length": 10**12},
        {"episode_length": None},
        {"seed": 2**63},
        {"status": "fine"},
        {"success": None},
        {"success": "yes"},
        {"episode_return": None},
        {"wall_s": "1"},
        {"variant": None},
    ],
)
def test_an_episode_with_an_impossible_value_is_named_with_the_field(results: Path, change: dict[str, Any]):
    (field,) = change
    edit(results, lambda rows: rows[1].update(change), "episodes.jsonl")
    with pytest.raises(JournalError, match=rf"line 2 of .* is not a valid EpisodeRecord \({field} has"):
        load_episodes("r", results=results)


def test_a_field_that_is_not_there_is_named(results: Path):
    edit(results, lambda rows: rows[1].pop("observation"))
    with pytest.raises(
        JournalError, match=r"line 2 of .* is not a valid StepRecord \(without 'observation'\)"
    ):
        Run.open("r", results=results).steps()


def test_usage_beyond_32_bits_is_a_figure_like_others(results: Path):
    edit(results, lambda rows: rows[1].update(input_tokens=2**40, output_tokens=7.0), "episodes.jsonl")
    assert load_episodes("r", results=results)["input_tokens"].max() == 2**40


OF_ODD_FORM = json.dumps({"compared": "yesterday", "text": "all there", "steps": 5, "clean": True})


@pytest.mark.parametrize("content", [DEEP, "[]", "{}", "{", '{"text": ' + DEEP + "}", OF_ODD_FORM])
def test_a_reconciliation_that_is_none_leaves_the_report_whole(results: Path, content: str):
    (results / "r" / "reconciliation.json").write_text(content)
    assert Run.open("r", results=results).reconciliation() == {}
    if content == DEEP:
        assert write_report("r", results=results, config=CONFIG, figures=()).page.exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("created",), "yesterday"),
        (("created",), 5),
        (("run_id",), None),
        (("own_models",), ["m"]),
        (("own_models",), {"baseline": {}}),
        (("digests", "baseline"), "x"),
        (("plan", "models"), [5]),
        (("plan", "models"), []),
        (("versions",), "x"),
        (("sampling", "max_tokens"), "x"),
        (("plan", "repeats"), 10**30),
        (("plan", "seeds"), ["x"]),
        (("plan", "seeds"), [2**64]),
        (("plan", "seeds"), []),
        (("plan", "tasks"), [["x"]]),
        (("plan", "variants"), ["unknown"]),
        (("plan", "history_length"), None),
        (("plans",), [5]),
        (("plans", 0, "num_dists"), 1.5),
        (("merged",), [5]),
        (("dialects",), 5),
    ],
)
def test_a_manifest_with_an_impossible_value_is_damaged(results: Path, path: tuple, value: object):
    file = results / "r" / "run.json"
    part = content = json.loads(file.read_text())
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    file.write_text(json.dumps(content))
    with pytest.raises(JournalError, match=r"is damaged; move"):
        Run.open("r", results=results)


@pytest.mark.parametrize("content", [DEEP, '{"plan": ' + DEEP + "}", "9" * 5000])
def test_a_manifest_that_is_nested_too_deeply_is_damaged(results: Path, content: str):
    (results / "r" / "run.json").write_text(content)
    with pytest.raises(JournalError, match=r"is damaged; move"):
        Run.open("r", results=results)
