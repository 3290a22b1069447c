"""The main job through its public functions, on the real gateway and the real ClickHouse engine."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pandas as pd
import pytest

from babyai_kit import ACTIONS, TASKS, Run, connect, load_episodes, make_env, run_experiment
from babyai_kit.errors import ConfigError, InputError, JournalError, ModelError
from babyai_kit.experiment.reconciliation import reconcile_run
from babyai_kit.gateway.session import Session
from babyai_kit.local.player import ChatRequest, Fault, FaultPlan, OfflinePlayer
from babyai_kit.runs.journal import read_steps
from babyai_kit.runs.plan import DEFAULT_VARIANTS
from babyai_kit.store.queries import stored_feedback, stored_steps
from tests.support.project import CONFIG, PROMPTS

pytestmark = pytest.mark.e2e

PRICED = "gpt-4o-mini-2024-07-18"


@pytest.fixture
def open_session(data: Path, monkeypatch: pytest.MonkeyPatch):
    """A session on a player of the test's own, by the settings a user would make."""

    @asynccontextmanager
    async def opened(player: OfflinePlayer, **settings: str) -> AsyncIterator[Session]:
        monkeypatch.setenv("OPENAI_BASE_URL", player.base_url)
        monkeypatch.setenv("AGENT_MODEL", "offline-player")
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            yield session

    return opened


def same_figures(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal but for what differs between any two runs."""
    apart = ["run", "episode_id", "wall_s"]
    pd.testing.assert_frame_equal(one.drop(columns=apart), other.drop(columns=apart))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (the condition is a file that another task writes)
        await asyncio.sleep(0.01)


def requests_of(player: OfflinePlayer) -> int:
    return player.stats.requests


async def test_every_step_and_outcome_is_stored_once_and_both_tables_agree(data, tmp_path):
    async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
        plan = {"variants": ["baseline", "history_and_reasoning"], "tasks": TASKS, "seeds": [0, 1]}
        episodes = await run_experiment(session, "whole", **plan, results=tmp_path, progress=False)
        found = await reconcile_run(session, "whole", results=tmp_path)
        client = session.clickhouse()
        run_id = json.loads((tmp_path / "whole/run.json").read_text())["run_id"]
        stored = stored_steps(client, [run_id])
        feedback = stored_feedback(client, [run_id])
        from_store = load_episodes("whole", results=tmp_path, source="clickhouse", client=client)

    assert len(episodes) == 20
    assert set(episodes["status"]) == {"ok"}
    assert set(episodes["model"]) == {"offline-player"}
    pd.testing.assert_frame_equal(load_episodes("whole", results=tmp_path), episodes)
    pd.testing.assert_frame_equal(from_store, episodes)

    steps = [s for of_one in read_steps(tmp_path / "whole").values() for s in of_one]
    assert len(steps) == episodes["episode_length"].sum() == len(stored)
    assert {row.model_calls for row in stored.values()} == {1}
    assert found.clean
    assert found.feedback_sent == 0
    assert set(feedback) == set(episodes["episode_id"])
    assert set(map(frozenset, feedback.values())) == {
        frozenset(["success", "episode_return", "progression", "episode_length", "invalid_actions"])
    }
    assert (episodes["input_tokens"] > 0).all()
    assert episodes["cost_usd"].isna().all()
    assert (episodes["episode_length"] >= episodes["shortest_length"])[episodes["success"]].all()


async def test_the_journal_holds_the_episode_as_it_was(open_session, tmp_path):
    async with OfflinePlayer() as player, open_session(player) as session:
        await run_experiment(session, "r", ["history"], ["open"], [5], results=tmp_path, progress=False)
    (steps,) = read_steps(tmp_path / "r").values()
    env = make_env("open")
    seen, _ = env.reset(seed=5)
    for step in steps:
        assert step.observation == seen["text"]
        seen, reward, *_ = env.step(ACTIONS.index(step.action))
        assert step.reward == reward
        assert step.valid == (json.loads(step.answer)["action"] == step.action)


async def test_another_history_length_concerns_only_the_variants_that_show_history(open_session, tmp_path):
    plan = {"tasks": ["goto"], "seeds": [1, 2], "results": tmp_path}
    async with OfflinePlayer() as player, open_session(player) as session:
        first = await run_experiment(session, "r", ["baseline", "history"], **plan, history_length=8)
        before = requests_of(player)
        again = await run_experiment(session, "r", ["baseline"], **plan, history_length=2)
        assert requests_of(player) == before
        both = await run_experiment(session, "r", ["baseline", "history"], **plan, history_length=2)
        client = session.clickhouse()
        from_store = load_episodes("r", results=tmp_path, source="clickhouse", client=client)
        sent = client.query(
            "SELECT max(length(JSONExtractArrayRaw("
            "input, 'messages', 1, 'content', 1, 'arguments', 'history'))) "
            "FROM JsonInference WHERE variant_name = 'baseline' AND tags['run_id'] = {id:String}",
            parameters={"id": Run.open("r", results=tmp_path).manifest.run_id},
        ).result_rows
    pd.testing.assert_frame_equal(again, first[first["variant"] == "baseline"].reset_index(drop=True))
    lengths = {variant: set(rows["history_length"]) for variant, rows in both.groupby("variant")}
    assert lengths == {"baseline": {0}, "history": {2}}
    assert not set(both["episode_id"]) & set(first.loc[first["variant"] == "history", "episode_id"])
    assert len(from_store) == 6
    pd.testing.assert_frame_equal(load_episodes("r", results=tmp_path), from_store)
    # The call carries it all the same: in the UI, another variant can be asked on the same step.
    assert 0 < sent[0][0] <= 8


async def test_a_second_run_calls_nobody_and_a_wider_plan_only_the_rest(open_session, tmp_path):
    async with OfflinePlayer() as player, open_session(player) as session:
        first = await run_experiment(session, "r", ["baseline"], ["goto"], [1, 2], results=tmp_path)
        before = requests_of(player)
        again = await run_experiment(session, "r", ["baseline"], ["goto"], [1, 2], results=tmp_path)
        assert requests_of(player) == before
        wider = await run_experiment(session, "r", ["baseline"], ["goto"], [1, 2, 3], results=tmp_path)
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(wider.iloc[:2], first)
    assert len(load_episodes("r", results=tmp_path)) == 3


async def test_a_changed_prompt_starts_anew_and_the_old_rows_stay(open_session, data, tmp_path):
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    plan = {"variants": ["baseline"], "tasks": ["goto"], "seeds": [1], "results": tmp_path, "progress": False}
    async with connect(env_file=None, config=config, data=data, quiet=True) as session:
        first = await run_experiment(session, "r", **plan)
    template = config / "functions/act/system.minijinja"
    template.write_text(template.read_text() + "\nBe quick.")
    async with connect(env_file=None, config=config, data=data, quiet=True) as session:
        second = await run_experiment(session, "r", **plan)
    assert first["episode_id"][0] != second["episode_id"][0]
    pd.testing.assert_frame_equal(load_episodes("r", results=tmp_path), second)
    assert len(load_episodes("r", results=tmp_path, all_versions=True)) == 2


async def test_calls_in_flight_reach_the_limit_and_never_pass_it(open_session, tmp_path):
    async with OfflinePlayer(latency_s=0.02) as player, open_session(player) as session:
        await run_experiment(
            session,
            "r",
            ["baseline"],
            ["goto"],
            range(30),
            max_concurrency=7,
            results=tmp_path,
            progress=False,
        )
        assert player.stats.max_in_flight == 7


async def test_faults_that_pass_leave_no_trace_in_the_table(open_session, tmp_path):
    plan = {"variants": ["baseline", "history"], "tasks": ["goto"], "seeds": range(4), "progress": False}
    spoiled = {"malformed": 0.05, "invalid_action": 0.05}
    passing = {"429": 0.1, "500": 0.1, "reset": 0.05}
    async with OfflinePlayer(faults=FaultPlan(spoiled)) as player, open_session(player) as session:
        clean = await run_experiment(session, "clean", **plan, results=tmp_path)
    async with OfflinePlayer(faults=FaultPlan(spoiled | passing)) as player, open_session(player) as session:
        faulty = await run_experiment(session, "faulty", **plan, results=tmp_path)
        assert player.stats.faults["429"] > 0
        assert player.stats.faults["500"] > 0
    assert clean["invalid_actions"].sum() > 0
    same_figures(clean, faulty)


async def test_a_model_that_fails_for_one_question_makes_an_error_and_no_failure(
    open_session, tmp_path, capsys
):
    def answers(request: ChatRequest) -> Fault | None:
        return Fault("400") if "Mission: pick up" in request.messages[-1][1] and failing else None

    failing = True
    plan = {"variants": ["baseline"], "tasks": ["goto", "pickup"], "seeds": [3], "results": tmp_path}
    async with OfflinePlayer(answers=answers) as player, open_session(player) as session:
        episodes = await run_experiment(session, "r", **plan)
        told = capsys.readouterr().out
        failing = False
        mended = await run_experiment(session, "r", **plan)
        clean = await run_experiment(session, "clean", **plan)
    goto, pickup = (episodes.set_index("task").loc[task] for task in ("goto", "pickup"))
    assert (goto["status"], pickup["status"]) == ("ok", "error")
    assert pickup["error"].startswith("bad request: ")
    assert pd.isna(pickup["success"])
    assert "1 episodes ended by an error, not by the agent (bad request: 1)" in told
    same_figures(mended, clean)


async def test_reasoning_that_was_not_asked_for_is_counted(open_session, tmp_path, capsys):
    def answers(request: ChatRequest) -> str:
        return '{"thinking": "hm", "action": "turn left"}'

    async with OfflinePlayer(answers=answers) as player, open_session(player) as session:
        episodes = await run_experiment(
            session, "r", ["baseline", "reasoning"], ["goto"], [1], results=tmp_path, progress=False
        )
    assert set(episodes["invalid_actions"]) == {0}
    printed = capsys.readouterr().out
    assert "64 answers of baseline contain reasoning, which its prompt does not ask for." in printed


async def test_a_refused_key_stops_before_the_plan_and_is_not_told(open_session, tmp_path):
    async with (
        OfflinePlayer(api_key="right") as player,
        open_session(player, OPENAI_API_KEY="sk-canary") as session,
    ):
        with pytest.raises(ModelError, match="refused the key") as raised:
            await run_experiment(session, "r", ["baseline"], ["goto"], [1], results=tmp_path)
        assert requests_of(player) == 1
    assert "canary" not in str(raised.value)
    assert not list((tmp_path / "r").glob("run.json"))


async def test_an_unknown_model_is_told_by_name(open_session, tmp_path):
    async with OfflinePlayer() as player, open_session(player, AGENT_MODEL="no-such-model") as session:
        with pytest.raises(ModelError, match="'no-such-model' does not answer"):
            await run_experiment(session, "r", ["baseline"], ["goto"], [1], results=tmp_path)
        assert requests_of(player) <= 3


async def test_the_budget_stops_new_calls_and_a_larger_one_goes_on(open_session, tmp_path, capsys):
    plan = {"variants": ["history"], "tasks": ["goto", "pickup"], "seeds": range(4), "results": tmp_path}
    async with OfflinePlayer(aliases=[PRICED]) as player, open_session(player, AGENT_MODEL=PRICED) as session:
        whole = await run_experiment(session, "whole", **plan)
        cost = whole["cost_usd"].sum()
        assert cost > 0
        part = await run_experiment(session, "r", **plan, max_cost_usd=cost / 3, max_concurrency=2)
        steps = [s for of_one in read_steps(tmp_path / "r").values() for s in of_one]
        spent = sum(s.cost_usd for s in steps)
        assert len(part) < len(whole)
        assert "Stopped: the budget" in capsys.readouterr().out
        assert cost / 3 <= spent <= cost / 3 + 2 * max(s.cost_usd for s in steps)
        rest = await run_experiment(session, "r", **plan, max_cost_usd=cost * 2)
    same_figures(rest, whole)


async def test_a_budget_without_a_price_is_refused(open_session, tmp_path):
    async with OfflinePlayer(aliases=["mine"]) as player, open_session(player, AGENT_MODEL="mine") as session:
        with pytest.raises(InputError, match="needs a price"):
            await run_experiment(session, "r", ["baseline"], ["goto"], [1], max_cost_usd=1, results=tmp_path)
        assert requests_of(player) == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"variants": ["nope"]},
        {"tasks": ["fly"]},
        {"seeds": []},
        {"seeds": [1, 1]},
        {"run": "../up"},
        {"max_concurrency": 0},
        {"max_cost_usd": -1},
        {"temperature": 9},
        {"shard": (4, 4)},
    ],
)
async def test_bad_input_is_told_before_the_first_call(open_session, tmp_path, bad):
    async with OfflinePlayer() as player, open_session(player) as session:
        plan = {"run": "r", "variants": ["baseline"], "tasks": ["goto"], "seeds": [1]}
        with pytest.raises(InputError):
            await run_experiment(session, **(plan | bad), results=tmp_path)
        assert requests_of(player) == 0
    assert not any(tmp_path.iterdir())


async def test_the_gateways_own_word_on_a_bad_configuration_reaches_the_user(data, tmp_path):
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    toml = config / "tensorzero.toml"
    toml.write_text(toml.read_text() + "\n[metrics.extra]\ntype = 'nonsense'\n")
    with pytest.raises(ConfigError, match=r"metrics\.extra"):
        async with connect(env_file=None, config=config, data=data, quiet=True):
            pass


async def test_a_run_in_use_is_refused(open_session, tmp_path):
    async with OfflinePlayer(latency_s=0.05) as player, open_session(player) as session:
        plan = {"variants": ["baseline"], "tasks": ["goto"], "seeds": range(5), "results": tmp_path}
        first = asyncio.create_task(run_experiment(session, "r", **plan))
        await until(lambda: (tmp_path / "r/steps.jsonl").exists())
        with pytest.raises(JournalError, match="in use"):
            await run_experiment(session, "r", **plan)
        await first


async def test_a_cancelled_run_leaves_no_task_and_goes_on(open_session, tmp_path):
    plan = {"variants": ["baseline"], "tasks": ["goto", "open"], "seeds": range(4), "results": tmp_path}
    async with OfflinePlayer(latency_s=0.01) as player, open_session(player) as session:
        whole = await run_experiment(session, "whole", **plan)
        before = asyncio.all_tasks()
        run = asyncio.create_task(run_experiment(session, "r", **plan))
        await until(lambda: len(read_steps(tmp_path / "r")) >= 4)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert {t for t in asyncio.all_tasks() - before if "aiohttp" not in repr(t)} == set()
        answered = sum(map(len, read_steps(tmp_path / "r").values()))
        assert 0 < answered < whole["episode_length"].sum()
        rest = await run_experiment(session, "r", **plan)
    same_figures(rest, whole)


@pytest.mark.parametrize("variant", [*DEFAULT_VARIANTS, "dialogue"])
async def test_what_the_model_sees(open_session, tmp_path, variant):
    """The fourth call of an episode whose second answer was no action, message by message."""
    turn, refuse, drop = '{"action": "turn left"}', "I would rather not.", '{"action": "drop"}'
    seen: list[ChatRequest] = []

    def answers(request: ChatRequest) -> str:
        seen.append(request)
        return {1: turn, 2: refuse}.get(len(seen) - 2, drop)

    async with OfflinePlayer(answers=answers) as player, open_session(player) as session:
        await run_experiment(
            session, "r", [variant], ["putnext"], [200], max_concurrency=1, results=tmp_path, progress=False
        )
    assert len(seen[0].messages) == (4 if variant == "dialogue" else 2), "the preflight asks in the same form"
    shown = "\n".join(f"<{role}>\n{text}\n</{role}>" for role, text in seen[4].messages) + "\n"
    assert shown == (PROMPTS / f"{variant}.txt").read_text()
