"""The table of a run from its journal; ClickHouse's side is tested where a run is made (tests/experiment)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from babyai_kit import load_episodes
from babyai_kit.errors import InputError
from babyai_kit.runs.journal import Journal
from tests.support.journals import expert, idle, play, write_run


def test_only_rows_of_the_present_prompt_count_unless_all_are_asked_for(tmp_path: Path):
    write_run(tmp_path, [play(expert, seed=1)])
    old = play(idle, seed=1).record
    assert old is not None
    with Journal(tmp_path / "r") as journal:
        journal.append(replace(old, variant_digest="0" * 12))
    assert list(load_episodes("r", results=tmp_path)["success"]) == [True]
    assert list(load_episodes("r", results=tmp_path, all_versions=True)["success"]) == [True, False]


def test_an_unknown_source_or_run_is_reported(tmp_path: Path):
    with pytest.raises(InputError, match="unknown source 'memory'; use 'journal' or 'clickhouse'"):
        load_episodes("r", results=tmp_path, source="memory")
    with pytest.raises(InputError, match="no run 'r'"):
        load_episodes("r", results=tmp_path)
