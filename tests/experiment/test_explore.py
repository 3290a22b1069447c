"""The agent that explores, through the real gateway: what it sends, what a break leaves, and no calls."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from babyai_kit import Run, connect, load_episodes, run_experiment
from babyai_kit.agents import find_agent
from babyai_kit.agents.step_prompt import template_arguments
from babyai_kit.environment import ACTIONS
from babyai_kit.errors import InputError
from babyai_kit.failures import load_failures
from babyai_kit.finetune import register_variant
from babyai_kit.replay import load_replay
from tests.agents.test_shipped import shown
from tests.support.goldens import GOLDENS
from tests.support.model_server import Body, completion, model_server, refusal
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

SENT = GOLDENS / "agents" / "explore.txt"
"""The first requests of an episode. REWRITE_GOLDENS=1 writes them anew."""


def answer(body: Body) -> object:
    """One that depends on the request, so that another request would show."""
    number = sum(len(str(message["content"])) for message in body["messages"])
    action = (*ACTIONS, "dance")[number % 7]
    return completion(json.dumps({"action": action}), usage={"prompt_tokens": 9, "completion_tokens": 4})


@pytest.mark.parametrize("variant", ["baseline", "dialogue"])
async def test_it_asks_as_the_variant_is_asked_and_shows_what_was_executed(
    opened_at, tmp_path: Path, variant: str
) -> None:
    plan = {"tasks": ["goto"], "seeds": [203], "history_length": 3, "progress": False}
    name = f"explore:share=0.4:variant={variant}"
    async with model_server(answer) as server, opened_at(server.base_url) as session:
        rows = await run_experiment(session, variant, agents=[name], results=tmp_path, **plan)
        run = Run.open(variant, results=tmp_path)
        stored = session.clickhouse().query(
            "SELECT toString(id), variant_name FROM JsonInference WHERE tags['run_id'] = {run:String}",
            parameters={"run": run.manifest.run_id},
        )
        from_store = load_episodes(
            variant, results=tmp_path, source="clickhouse", client=session.clickhouse()
        )
    steps, calls = run.steps(), run.calls()
    (row,) = rows.to_dict("records")
    assert row["variant"] == find_agent(name).name
    assert 0 < row["calls"] == len(calls) == steps["calls"].sum() < row["episode_length"] == len(steps)
    assert row["input_tokens"] == 9 * row["calls"]
    assert row["history_length"] == (0 if variant == "baseline" else 3)
    assert {tuple(one) for one in stored.result_rows} == {(i, variant) for i in calls["inference_id"]}
    assert run.reconciliation()["clean"]
    assert from_store.drop(columns="wall_s").equals(rows.drop(columns="wall_s"))
    chance, asked = steps[steps["calls"] == 0], steps[steps["calls"] == 1]
    assert chance["valid"].all()
    assert asked["valid"].all() == (variant == "baseline")
    assert chance["action"].nunique() > 3
    sent = [body for body in server.asked if "seed" in body][-len(calls) :]
    if variant == "dialogue":
        # The answers that it is shown are the executed actions, whoever chose them.
        for number, body in zip(asked["step"], sent, strict=True):
            said = [json.loads(m["content"])["action"] for m in body["messages"] if m["role"] == "assistant"]
            assert said == list(steps["action"][number - len(said) : number])
        seen = shown(sent[:4])
        if "REWRITE_GOLDENS" in os.environ:
            SENT.write_text(seen)
        assert seen == SENT.read_text()


async def test_it_goes_on_where_it_was_broken_off(opened_at, tmp_path: Path) -> None:
    plan = {"tasks": ["goto"], "seeds": [203, 205], "history_length": 3, "progress": False}
    plan["agents"] = ["explore:share=0.4:variant=history"]
    async with model_server(answer) as server, opened_at(server.base_url) as session:
        whole = await run_experiment(session, "broken", results=tmp_path, **plan)
        folder = Path(shutil.copytree(tmp_path / "broken", tmp_path / "again" / "broken"))
        for name, kept in (("episodes.jsonl", 0), ("steps.jsonl", 17), ("calls.jsonl", 12)):
            lines = (folder / name).read_bytes().splitlines(keepends=True)
            (folder / name).write_bytes(b"".join(lines[:kept]))
        before = len(server.asked)
        resumed = await run_experiment(session, "broken", results=folder.parent, **plan)
        paid = len(server.asked) - before
    apart = ["episode_id", "wall_s"]
    pd.testing.assert_frame_equal(resumed.drop(columns=apart), whole.drop(columns=apart))
    actions = [
        [(s.step, s.action, s.valid) for s in records]
        for place in (tmp_path, folder.parent)
        for records in Run.open("broken", results=place).step_records().values()
    ]
    assert sorted(actions[:2]) == sorted(actions[2:])
    assert paid < whole["calls"].sum()


async def test_by_chance_alone_no_model_is_asked_and_nothing_is_missing(
    opened_at, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    plan = {"agents": ["explore:share=1"], "tasks": ["goto"], "results": tmp_path, "progress": False}
    async with (
        model_server(lambda body: refusal(401, "no such key")) as server,
        opened_at(server.base_url) as session,
    ):
        rows = await run_experiment(session, "chance", seeds=range(20), **plan)
        again = await run_experiment(session, "chance", seeds=range(20), **plan)
        await run_experiment(session, "chance", seeds=range(21), max_tokens_total=1, **plan)
        assert server.asked == []
        from_store = load_episodes(
            "chance", results=tmp_path, source="clickhouse", client=session.clickhouse()
        )
    assert again.equals(rows)
    assert set(rows["status"]) == {"ok"}
    assert rows["success"].any()
    for column in ("calls", "input_tokens", "output_tokens", "cost_usd", "wall_s", "invalid_actions"):
        assert (rows[column] == 0).all()
    assert from_store.empty  # the gateway knows nothing of them
    run = Run.open("chance", results=tmp_path)
    reconciliation = run.reconciliation()
    assert reconciliation["clean"]
    assert reconciliation["unreachable"] == []
    said = capsys.readouterr().out
    assert "calls" in said
    assert "ClickHouse differs" not in said
    actions = run.steps()["action"].value_counts(normalize=True)
    assert set(actions.index) == set(ACTIONS)
    assert actions.min() > 0.1
    assert len(load_failures("chance", results=tmp_path)) > 0
    assert "explore:share=1.0" in load_replay("chance", success=True, results=tmp_path).about


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("explore:share=1.5", "share 1.5 of agent explore is not in range; use 0 to 1"),
        ("explore:share=nan", "not in range"),
        ("explore:share=often", "share of agent explore must be a number"),
        ("explore:variant=baselin", "unknown variant 'baselin'; did you mean"),
    ],
)
async def test_parameters_that_are_none_are_refused(
    opened_at, tmp_path: Path, agent: str, message: str
) -> None:
    async with model_server(answer) as server, opened_at(server.base_url) as session:
        with pytest.raises(InputError, match=message):
            await run_experiment(session, "no", agents=[agent], results=tmp_path)
    assert server.asked == []
    assert Run.at(tmp_path / "no") is None


async def test_each_model_of_a_plan_answers_for_itself_and_a_tuned_variants_own_for_it(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    plan = {"tasks": ["goto"], "seeds": [203], "results": tmp_path, "progress": False}
    async with model_server(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("AGENT_MODEL", "a-model")
        register_variant("dialogue_sft", model="ft:a", like="dialogue", config=config)
        async with connect(env_file=None, config=config, data=data, quiet=True) as session:
            name = "explore:share=0.5:variant=history"
            rows = await run_experiment(session, "two", agents=[name], models=["a-model", "b-model"], **plan)
            asked = Counter(body["model"] for body in server.asked)
            tuned = await run_experiment(
                session, "tuned", agents=["explore:variant=dialogue_sft:share=0.5"], **plan
            )
            asked_later = Counter(body["model"] for body in server.asked) - asked
    calls = rows.set_index("model")["calls"]
    # And the first calls of each, which find out how it wants to be asked.
    assert all(asked[model] > calls[model] > 0 for model in ("a-model", "b-model"))
    assert set(asked_later) == set(tuned["model"]) == {"ft:a"}
    assert tuned["history_length"].item() == 8
    assert any(m["role"] == "assistant" for m in server.asked[-1]["messages"])
    for run in ("two", "tuned"):
        assert Run.open(run, results=tmp_path).reconciliation()["clean"]


async def test_an_agent_that_asks_a_variant_without_saying_so_is_not_answered_by_another_model(
    opened_at, tmp_path: Path
) -> None:
    class Quiet:
        def __init__(self, episode: Any) -> None:
            self.ask = episode.ask

        async def act(self, observation: Any) -> str:
            arguments = template_arguments(observation.mission, observation.text, [])
            return (await self.ask(arguments=arguments, variant="baseline")).parsed["action"]

    plan = {"tasks": ["goto"], "seeds": [203], "results": tmp_path, "progress": False}
    async with model_server(answer) as server, opened_at(server.base_url) as session:
        with pytest.raises(InputError, match="agent Quiet asks; write @agent"):
            await run_experiment(session, "quiet", agents=[Quiet], models=["b-model"], **plan)
    assert {body["model"] for body in server.asked} == {"b-model"}
