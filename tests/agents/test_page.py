"""The agents of docs/agents.md, saved as files outside the package and played from there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from babyai_kit import connect, run_experiment
from tests.support.project import CONFIG, ROOT

pytestmark = pytest.mark.e2e

PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
FILES = {name: code for code, name in re.findall(r"(?ms)^```python\n(# (\w+\.py)\n.*?)^```$", PAGE)}


def test_the_agents_of_the_page_are_short() -> None:
    lines = {name: len(code.splitlines()) for name, code in FILES.items()}
    assert lines.keys() == {"mine.py", "planner.py"}
    assert lines["mine.py"] <= 20
    assert lines["planner.py"] < 60


async def test_the_agents_of_the_page_play_from_files_of_their_own(tmp_path: Path, data: Path) -> None:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    places = [f"{tmp_path}/{place}" for place in ("mine.py", "planner.py", "planner.py:every=2")]
    async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
        table = await run_experiment(
            session,
            "page",
            agents=places,
            tasks=["goto"],
            seeds=range(200, 202),
            results=tmp_path,
            progress=False,
        )
    assert set(table["variant"]) == {"mine", "planner", "planner:every=2"}
    assert (table["status"] == "ok").all()
    assert (table["invalid_actions"] == 0).all()
    calls = table.groupby("variant")["calls"].sum() / table.groupby("variant")["episode_length"].sum()
    assert calls["mine"] == 1
    assert 1 < calls["planner"] < calls["planner:every=2"] < 2
