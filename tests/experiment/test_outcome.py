"""The lines at the end of a command: what differs from ClickHouse is told once, with what to type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from babyai_kit.experiment.outcome import Outcome, closing_notes
from babyai_kit.experiment.reconciliation import Reconciliation
from babyai_kit.runs.commands import command_line

TABLE = pd.DataFrame({"status": ["ok"], "error_kind": [None]})
LOSS = Reconciliation(steps=9, missing={"e": [1, 2]})
TWICE = Reconciliation(steps=9, orphans={"e": ["a", "b"], "f": ["c"]})


def notes(now: Reconciliation, before: Reconciliation | None = None) -> list[str]:
    outcome = Outcome(TABLE, 1, (), now, {}, {})
    compared: dict[str, Any] = before.as_json() if before else {}
    return closing_notes(outcome, compared, command_line("reconcile", "first", results="my runs"))


def test_calls_in_flight_are_told_as_such_and_once() -> None:
    (note,) = notes(TWICE)
    assert note.startswith("Nothing is missing in ClickHouse; 3 calls that were in flight when ")
    assert note.endswith(" were paid twice.")
    assert notes(TWICE, before=TWICE) == []
    (more,) = notes(replace(TWICE, orphans=TWICE.orphans | {"g": ["d"]}), before=TWICE)
    assert "; 1 call that was in flight when " in more


def test_what_is_missing_is_told_once_with_the_command_that_names_it() -> None:
    (note,) = notes(LOSS)
    assert "9 steps in the journal, 2 of them missing in ClickHouse" in note
    assert "`python -m babyai_kit reconcile first --results 'my runs'`" in note
    assert notes(LOSS, before=LOSS) == []
    assert len(notes(replace(LOSS, missing={"e": [1, 2, 3]}), before=LOSS)) == 1
    both = notes(replace(LOSS, orphans=TWICE.orphans), before=LOSS)
    assert [note[:8] for note in both] == ["3 calls "]


@pytest.mark.parametrize("results", ["results", "./results"])
def test_the_usual_folder_is_not_named(results: str) -> None:
    named = results != "results"
    assert ("--results" in command_line("report", "first", results=results)) is named
