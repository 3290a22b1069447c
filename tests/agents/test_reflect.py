"""The agent that learns from its failures: what it writes, who reads it, and a kill while it writes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from babyai_kit import Run, connect, load_episodes, run_experiment
from babyai_kit.agents import find_agent
from babyai_kit.agents.reflect import LESSON
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import InputError
from tests.agents.test_shipped import SEEN, shown
from tests.support.model_server import Body, completion, model_server
from tests.support.processes import LONGEST_S, same_figures, start
from tests.support.project import CONFIG, make_project

pytestmark = pytest.mark.e2e


class Model:
    """Turns left for ever, writes lessons, and may hold its lessons back."""

    def __init__(self) -> None:
        self.lessons: list[Body] = []
        self.holding = False
        self.held = asyncio.Event()

    async def __call__(self, body: Body) -> Body:
        if LESSON not in body["messages"][0]["content"]:
            return completion("I look around. <action>turn left</action>")
        if self.holding:
            self.held.set()
            await asyncio.Event().wait()
        self.lessons.append(body)
        mission = body["messages"][1]["content"].partition("\n")[0].removeprefix("Mission: ")
        return completion(f" Walk,\nto {mission}. ", usage={"prompt_tokens": 1000, "completion_tokens": 500})


async def test_lessons_of_the_train_block_are_read_by_later_runs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model()
    async with model_server(model) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("AGENT_MODEL", "a-model")
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:

            async def play(run: str, agent: str, seeds: Any, **plan: Any) -> tuple[pd.DataFrame, list[Body]]:
                before = len(server.asked)
                given = {
                    "tasks": ["goto"],
                    "results": tmp_path,
                    "progress": False,
                    "history_length": 2,
                    **plan,
                }
                table = await run_experiment(session, run, agents=[agent], seeds=seeds, **given)
                return table, server.asked[before:]

            rows, _ = await play("first", "reflect", [3, 8, 208])
            taught = model.lessons.copy()
            stored = load_episodes(
                "first", results=tmp_path, source="clickhouse", client=session.clickhouse()
            )
            of_test = f"reflect:lessons=first:results={tmp_path}"
            test_rows, asked = await play("test", of_test, [1000])
            again, _ = await play("second", of_test, [9])
            both = f"reflect:lessons=first+second:results={tmp_path}"
            _, of_both = await play("both", both, [1000])
            with pytest.raises(InputError, match="finds no episode of pickup with a-model and num_dists 0"):
                await play("pickup", of_test, [1000], tasks=["pickup"])
    run = Run.open("first", results=tmp_path)
    assert run.reconciliation()["clean"]
    # The lesson counts for the episode, and for none of its steps.
    by_seed = rows.set_index("seed")
    assert list(by_seed["calls"]) == [65, 65, 64]
    assert list(by_seed["input_tokens"]) == [64 * 10 + 1000] * 2 + [640]
    assert list(by_seed["output_tokens"]) == [64 * 3 + 500] * 2 + [192]
    assert (run.steps()["calls"] == 1).all()
    assert stored.drop(columns="wall_s").equals(rows.drop(columns="wall_s"))
    written = run.calls().query("step == 64")
    assert sorted(written["seed"]) == [3, 8]
    # Neither success nor test block: nothing is written, and what was read stands in every prompt.
    assert (test_rows["calls"] == 64).all()
    of_3, of_8, of_9 = (Playback("goto", seed=seed).mission for seed in (3, 8, 9))
    read = f"Lessons from earlier games:\n- Walk, to {of_3}.\n- Walk, to {of_8}.\n\nFirst think"
    assert all(read in body["messages"][0]["content"] for body in asked[-64:])
    assert (again["calls"] == 65).all()
    assert f"- Walk, to {of_3}.\n- Walk, to {of_8}.\n- Walk, to {of_9}.\n\n" in str(
        of_both[-1]["messages"][0]["content"]
    )
    lesson = next(body for body in taught if of_3 in body["messages"][1]["content"])
    seen = f"== the lesson\n{shown([lesson])}== an episode of a later run\n{shown(asked[-64:-63])}"
    if "REWRITE_GOLDENS" in os.environ:
        (SEEN / "reflect_later.txt").write_text(seen)
    assert seen == (SEEN / "reflect_later.txt").read_text()
    _what_is_refused(tmp_path)


def _what_is_refused(results: Path) -> None:
    def found(lessons: str, more: str = "") -> Any:
        return find_agent(f"reflect:lessons={lessons}{more}:results={results}")

    with pytest.raises(
        InputError, match="run 'test' has no finished episode of the agent reflect in the train"
    ):
        found("test")
    with pytest.raises(InputError, match="no run 'nothing'"):
        found("first+nothing")
    with pytest.raises(InputError, match="most must be at least 1; got 0"):
        found("first", ":most=0")
    digests = {found(*of).digest for of in [("first",), ("first+second",), ("first", ":most=1")]}
    assert len(digests) == 3
    assert found("first").digest == found("first").digest


async def test_a_kill_while_the_lesson_is_written_leaves_no_trace(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project", data)
    plan: Any = {"agents": ["reflect"], "tasks": ["goto"], "seeds": [3], "results": project / "results"}
    model = Model()
    async with model_server(model) as server:
        settings = {"OPENAI_BASE_URL": server.base_url, "AGENT_MODEL": "a-model"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            whole = await run_experiment(session, "whole", progress=False, **plan)
            model.holding = True
            process = start(
                project, "run", "r", "--agents", "reflect", "--tasks", "goto", "--seeds", "3:4", **settings
            )
            await asyncio.wait_for(model.held.wait(), LONGEST_S)
            process.kill()
            await asyncio.to_thread(process.wait)
            model.holding = False
            broken = Run.open("r", results=project / "results")
            assert (len(broken.steps()), len(broken.calls()), len(broken.episodes())) == (64, 64, 0)
            before = len(server.asked)
            resumed = await run_experiment(session, "r", progress=False, **plan)
            # The preflight's question, and the lesson.
            assert len(server.asked) == before + 2
            # Killed after the lesson and before the episode's row.
            file = project / "results" / "r" / "episodes.jsonl"
            file.write_text("")
            once_more = await run_experiment(session, "r", progress=False, **plan)
            assert len(server.asked) == before + 3
    assert same_figures(resumed, whole)
    assert same_figures(once_more, whole)
    calls = Run.open("r", results=project / "results").calls()
    assert list(calls["step"]) == list(range(65))
