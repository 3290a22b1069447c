"""The planning agent: when it plans, and that a kill between the two calls of a step leaves no trace."""

from __future__ import annotations

import asyncio
import json
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from babyai_kit import Run, connect, run_experiment
from babyai_kit.agents import Episode, Message, Observation, Reply, find_agent
from babyai_kit.agents.interface import Past
from babyai_kit.agents.plan import PLAN, Plan
from babyai_kit.environment import ACTIONS
from babyai_kit.errors import InputError
from tests.support.model_server import Body, completion, model_server
from tests.support.processes import LONGEST_S, same_figures, start
from tests.support.project import CONFIG, make_project


async def planned_steps(seen: str, every: int, valid: bool = True) -> str:
    """Of steps with these observations, a letter each: P for one with a plan before its action, else a."""
    asked: list[bool] = []

    async def ask(messages: Any, **named: Any) -> Reply:
        asked.append(PLAN in messages[0].content)
        return Reply("walk <action>go forward</action>")

    agent = Plan(Episode(ask, "go", "goto", 1, 0, 0, 64, 8), every=every)
    steps = ""
    for number, text in enumerate(seen):
        asked.clear()
        past = Past("go forward", valid, "go forward") if number else None
        move = await agent.act(Observation(text, "go", number, past))
        assert (move.action, move.thinking) == ("go forward", "walk")
        assert asked[-1] is False
        steps += "P" if len(asked) == 2 else "a"
    return steps


@pytest.mark.parametrize(
    ("seen", "every", "valid", "steps"),
    [
        ("abcdefgh", 8, True, "Paaaaaaa"),
        ("abcdefgh", 3, True, "PaaPaaPa"),
        ("abbcdefg", 3, True, "PaPaaPaa"),
        ("abcd", 8, False, "PPPP"),
        ("abc", 1, True, "PPP"),
    ],
)
async def test_it_plans_at_first_after_so_many_steps_and_when_stuck(
    seen: str, every: int, valid: bool, steps: str
) -> None:
    assert await planned_steps(seen, every, valid) == steps


def test_a_plan_lasts_a_step_at_least() -> None:
    with pytest.raises(InputError, match="every must be at least 1; got 0"):
        find_agent("plan:every=0")


async def test_a_plan_that_is_empty_is_asked_for_again() -> None:
    asked = []

    async def ask(messages: list[Message], **named: Any) -> Reply:
        asked.append(messages)
        return Reply("")

    agent = Plan(Episode(ask, "go", "goto", 1, 0, 0, 64, 8))
    assert (await agent.act(Observation("a", "go", 0))).action == ""
    assert (await agent.act(Observation("b", "go", 1, Past("go forward", True, "")))).action == ""
    assert [PLAN in messages[0].content for messages in asked] == [True, False, True, False]


class Model:
    """Answers by the messages alone, so that every run is the same; holds one answer back: of the third step
    that planned, the action's."""

    def __init__(self) -> None:
        self.holding = False
        self.held = asyncio.Event()
        self._plans: set[str] = set()
        self._fresh = 0

    async def __call__(self, body: Body) -> Body:
        number = zlib.crc32(json.dumps(body["messages"]).encode())
        if PLAN in body["messages"][0]["content"]:
            return completion(f"Plan {number}.")
        plan = body["messages"][-1]["content"].partition("Your plan:\n")[2].split("\n")[0]
        is_fresh = plan not in self._plans
        self._fresh += is_fresh
        self._plans.add(plan)
        if self.holding and is_fresh and self._fresh >= 3:
            self.held.set()
            await asyncio.Event().wait()
        return completion(f"Go. <action>{ACTIONS[number % 6]}</action>")

    def begin(self, *, holding: bool) -> None:
        self.holding = holding
        self._plans.clear()
        self._fresh = 0


@pytest.mark.e2e
async def test_a_kill_between_the_two_calls_of_a_step_leaves_no_trace(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project", data)
    plan = {"agents": ["plan"], "tasks": ["goto"], "seeds": [0], "results": project / "results"}
    model = Model()
    async with model_server(model) as server:
        settings = {"OPENAI_BASE_URL": server.base_url, "AGENT_MODEL": "a-model"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            await run_experiment(session, "whole", progress=False, **plan)
            calls_of_whole = len(server.asked)
            model.begin(holding=True)
            words = ("--agents", "plan", "--tasks", "goto", "--seeds", "0:1")
            process = start(project, "run", "r", *words, **settings)
            await asyncio.wait_for(model.held.wait(), LONGEST_S)
            process.kill()
            await asyncio.to_thread(process.wait)
            broken = Run.open("r", results=project / "results")
            steps, calls = broken.steps(), broken.calls()
            model.begin(holding=False)
            before = len(server.asked)
            await run_experiment(session, "r", progress=False, **plan)
            asked_again = len(server.asked) - before
    last = calls.iloc[-1]
    assert (last["step"], last["call"]) == (len(steps), 0)
    assert last["answer"].startswith("Plan")
    # The answers that were recorded are not asked for again; each start asks one question beforehand.
    assert asked_again == calls_of_whole - len(calls)
    whole, resumed = (Run.open(run, results=project / "results") for run in ("whole", "r"))
    assert same_figures(resumed.episodes(), whole.episodes())
    for table in ("steps", "calls"):
        assert _plain(getattr(resumed, table)()).equals(_plain(getattr(whole, table)()))


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    order = [name for name in ("seed", "step", "call") if name in rows]
    rows = rows.drop(columns=["run", "episode_id", "inference_id", "call_s"])
    return rows.sort_values(order, ignore_index=True)
