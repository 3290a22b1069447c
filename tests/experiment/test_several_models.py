"""Several models in one run, through the real gateway: each in a lane of its own, all in one table."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run, load_episodes, run_experiment
from babyai_kit.errors import ConfigError, InputError, ModelError
from babyai_kit.experiment.patience import Backoff
from tests.support.anthropic_server import KEY, NEW, OLD, anthropic_server
from tests.support.model_server import FORWARD, Body, completion, model_server, own_model, refusal
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

HURRIED = Backoff(first_wait_s=0.01, max_wait_s=0.05)


async def test_two_servers_and_the_offline_player_in_one_run(opened, data: Path, tmp_path: Path) -> None:
    models = ["first-model", "their/own", "offline-player"]
    async with (
        model_server(lambda body: completion()) as first,
        model_server(lambda body: FORWARD) as second,
        opened(first, own_model("their/own", second.base_url)) as session,
    ):
        episodes = await run_experiment(
            session,
            "three-models",
            ["baseline", "dialogue"],
            ["goto"],
            [200, 201],
            models=models,
            results=tmp_path,
            progress=False,
        )
        with_store = load_episodes(
            "three-models", results=tmp_path, source="clickhouse", client=session.clickhouse()
        )
        rows = session.clickhouse().query(
            "SELECT DISTINCT variant_name, tags['model'] FROM JsonInference "
            "WHERE tags['run'] = 'three-models'"
        )
    assert set(episodes["model"]) == set(models)
    assert len(episodes) == 2 * 3 * 2
    assert (episodes["status"] == "ok").all()
    assert set(rows.result_rows) == {
        (f"{variant}@{model.replace('/', '-')}", model)
        for variant in ("baseline", "dialogue")
        for model in models
    }
    shown = episodes.drop(columns="wall_s")
    assert with_store.drop(columns="wall_s").equals(shown)
    by_model = episodes.groupby("model")[["input_tokens", "episode_length"]].sum()
    assert by_model.loc["first-model", "input_tokens"] == 10 * by_model.loc["first-model", "episode_length"]
    assert by_model.loc["their/own", "input_tokens"] == 20 * by_model.loc["their/own", "episode_length"]
    assert {body["model"] for body in second.asked} == {"their/own-as-served"}
    run = Run.open("three-models", results=tmp_path)
    assert run.manifest.plan.models == tuple(models)
    assert set(run.manifest.dialects) == set(models)
    # The same seeds and prompts for all of them.
    assert len(run.planned()) == len(episodes)


async def test_a_later_command_adds_a_model_and_plays_nothing_again(opened, tmp_path: Path) -> None:
    async with (
        model_server(lambda body: completion()) as first,
        model_server(lambda body: FORWARD) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        plan: dict[str, Any] = {
            "variants": ["baseline"],
            "tasks": ["goto"],
            "seeds": [200],
            "results": tmp_path,
        }
        await run_experiment(session, "added", progress=False, **plan)
        before = len(first.asked)
        both = await run_experiment(
            session, "added", models=["first-model", "second"], progress=False, **plan
        )
    assert list(both["model"]) == ["first-model", "second"]
    assert len(first.asked) == before
    assert len(load_episodes("added", results=tmp_path)) == 2


async def test_a_model_that_waits_or_fails_holds_no_other(opened, tmp_path: Path) -> None:
    """The first model is never answered until the second has played all its episodes."""
    finished = asyncio.Event()
    calls = 0

    async def stuck(body: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:  # the first is the preflight's
            await finished.wait()
        return completion()

    async with (
        model_server(stuck) as first,
        model_server(lambda body: FORWARD) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        running = asyncio.create_task(
            run_experiment(
                session,
                "held",
                ["baseline"],
                ["goto"],
                [200, 201],
                models=["first-model", "second"],
                max_concurrency={"first-model": 1, "second": 3},
                results=tmp_path,
                progress=False,
            )
        )
        while not Run.at(tmp_path / "held") or len(Run.open("held", results=tmp_path).episodes()) < 2:
            await asyncio.sleep(0.05)
            assert not running.done()
        assert set(load_episodes("held", results=tmp_path)["model"]) == {"second"}
        finished.set()
        assert len(await running) == 4


async def test_a_fatal_answer_stops_its_own_model_alone(opened, tmp_path: Path) -> None:
    first_answered = iter(range(3))
    async with (
        model_server(
            lambda body: completion() if next(first_answered, None) is not None else refusal(401)
        ) as first,
        model_server(lambda body: FORWARD) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        with pytest.raises(ModelError, match=r"^first-model: the model server refused the key"):
            await run_experiment(
                session,
                "one-key",
                ["baseline"],
                ["goto"],
                [200, 201],
                models=["first-model", "second"],
                max_concurrency=1,
                results=tmp_path,
                progress=False,
                backoff=HURRIED,
            )
    done = load_episodes("one-key", results=tmp_path)
    assert list(done["model"]) == ["second", "second"]
    assert (done["status"] == "ok").all()


async def test_what_fails_is_told_before_a_budget_and_of_each_model(
    opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once = iter(range(2))
    async with (
        model_server(lambda body: completion()) as first,
        model_server(lambda body: FORWARD if next(once, None) is not None else refusal(401)) as second,
        model_server(lambda body: completion("no action")) as third,
        opened(first, own_model("second", second.base_url) + own_model("third", third.base_url)) as session,
    ):
        with pytest.raises(ModelError, match=r"^second: the model server refused the key"):
            await run_experiment(
                session,
                "stops",
                ["baseline"],
                ["goto"],
                [200],
                models=["first-model", "second", "third"],
                max_tokens_total={"first-model": 1},
                stop_after_invalid=5,
                results=tmp_path,
                progress=False,
            )
    told = capsys.readouterr().out
    for reason in (
        "second: the model server",
        "third: none of the first 5 answers",
        "first-model: the budget of 1",
    ):
        assert told.count(f"Stopped: {reason}") == 1
    assert "answers of baseline, third were not valid" in told


async def test_a_budget_can_be_of_one_model(
    opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        model_server(lambda body: completion()) as first,
        model_server(lambda body: FORWARD) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        plan: dict[str, Any] = {
            "variants": ["baseline"],
            "tasks": ["goto"],
            "seeds": [200, 201],
            "models": ["first-model", "second"],
            "max_tokens_total": {"second": 100},
            "max_concurrency": 1,
            "results": tmp_path,
            "progress": False,
        }
        episodes = await run_experiment(session, "budget", **plan)
        assert list(episodes["model"]) == ["first-model"] * 2
        assert (
            len(
                [
                    step
                    for steps in Run.open("budget", results=tmp_path).step_records().values()
                    for step in steps
                    if step.model == "second"
                ]
            )
            == 5
        )
        capsys.readouterr()
        await run_experiment(
            session, "budget-2", **{**plan, "max_tokens_total": {"first-model": 1, "second": 2}}
        )
        told = capsys.readouterr().out
        assert "Stopped: first-model: the budget of 1 tokens" in told
        assert "Stopped: second: the budget of 2 tokens" in told
        with pytest.raises(InputError, match="max_tokens_total: unknown model of the plan 'third'"):
            await run_experiment(session, "budget", **{**plan, "max_tokens_total": {"third": 5}})


@pytest.mark.parametrize(
    "settings",
    [{"AGENT_MODEL": "theirs"}, {"AGENT_MODELS": "theirs"}, {"AGENT_MODELS": "theirs,first-model"}],
)
async def test_a_model_of_the_file_that_the_settings_name_is_asked_at_its_own_server(
    opened, tmp_path: Path, settings: dict[str, str]
) -> None:
    """Alone too: it is not what OPENAI_BASE_URL calls so."""
    async with (
        model_server(lambda body: completion()) as first,
        model_server(lambda body: FORWARD) as second,
        opened(first, own_model("theirs", second.base_url), **settings) as session,
    ):
        plan: dict[str, Any] = {"tasks": ["goto"], "seeds": [200], "results": tmp_path, "progress": False}
        done = await run_experiment(session, "own", ["baseline"], models=["theirs"], **plan)
        assert list(done["model"]) == ["theirs"]
        assert second.asked
        assert not first.asked


async def test_a_key_may_have_any_name_and_an_entry_options_and_neither_key_nor_password_is_shown(
    opened, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two models at one server, each with a key of its own: what is refused names the right one."""
    env = tmp_path / ".env"
    env.write_text("TEAM_A=secret-of-a\nTEAM_B=secret-of-b\n")

    def theirs(body: Body) -> Any:
        if body["model"] == "b-as-served":
            return refusal(401, f"no such key: {second.authorizations[-1]}")
        return completion() if body.get("top_k") == 7 else refusal(400, "no top_k")

    async with model_server(theirs) as second, model_server(lambda body: completion()) as first:
        toml = "".join(
            own_model(name, second.base_url, extra).replace('"none"', f'"env::TEAM_{name.upper()}"')
            for name, extra in (("a", 'extra_body = [{ pointer = "/top_k", value = 7 }]'), ("b", ""))
        )
        toml += own_model("c", second.base_url.replace("://", "://us:secretword@"))
        async with opened(first, toml, env_file=env, quiet=False, AGENT_MODELS="a,c,groq::x") as session:
            plan: dict[str, Any] = {"tasks": ["goto"], "seeds": [200], "results": tmp_path, "progress": False}
            assert len(await run_experiment(session, "a", ["baseline"], models=["a"], **plan)) == 1
            assert set(second.authorizations) == {"Bearer secret-of-a"}
            with pytest.raises(
                ModelError,
                match=r"^b: none of its episodes was run: .*set TEAM_B in .env: no such key: Bearer \*\*\*",
            ):
                await run_experiment(session, "b", ["baseline"], models=["a", "b"], **plan)
    shown = capfd.readouterr()
    assert "://us:***@" in shown.out
    assert re.search(r"^ {12}groq::x needs GROQ_API_KEY, which is not set; add it to .env", shown.out, re.M)
    # Modules are called `secrets`, and a warning of Python's may name one.
    assert not re.search(r"secret-of|secretword", shown.out + shown.err)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (own_model("a", "http://127.0.0.1:1/v1", "bogus = 1"), "bogus"),
        (own_model("a", "http://127.0.0.1:1/v1").replace("routing", "bogus = 1\nrouting"), "bogus"),
    ],
)
async def test_an_entry_that_the_gateway_does_not_know_is_refused(
    opened, tmp_path: Path, toml: str, told: str
) -> None:
    async with model_server(lambda body: completion()) as first, opened(first, toml) as session:
        with pytest.raises(ConfigError, match=told):
            await run_experiment(session, "r", ["baseline"], ["goto"], [200], models=["a"], results=tmp_path)


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (["anthropic::claude-sonnet-4-5"], "needs ANTHROPIC_API_KEY, which is not set"),
        (["bedrok::x"], "did you mean 'aws_bedrock'"),
        (["first-model", "first-model"], "models given twice"),
        ([], "models is empty"),
        ("first-model", "models is a string"),
        (["a/b", "a-b"], "cannot tell apart"),
    ],
)
async def test_what_cannot_be_played_is_refused_before_any_call(
    opened, tmp_path: Path, models: Any, told: str
) -> None:
    async with model_server(lambda body: completion()) as first, opened(first) as session:
        with pytest.raises(InputError, match=told):
            await run_experiment(session, "refused", models=models, results=tmp_path)
        assert not first.asked
    assert not (tmp_path / "refused").exists()


def registered(kind: str, model_name: str) -> str:
    """The file of the variant history_sft, whose model is at a provider of that kind."""
    return f"""
[models.history_sft]
routing = ["tuned"]
[models.history_sft.providers.tuned]
type = "{kind}"
model_name = "{model_name}"
[functions.act.variants.history_sft]
type = "chat_completion"
model = "history_sft"
templates.system.path = "../functions/act/system.minijinja"
templates.user.path = "../functions/act/user_history.minijinja"
json_mode = "on"
"""


async def test_a_name_that_the_server_does_not_know_is_to_be_corrected_where_it_stands(
    opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(CONFIG, tmp_path / "config")
    (tmp_path / "config" / "finetuned").mkdir()
    (tmp_path / "config" / "finetuned" / "history_sft.toml").write_text(registered("openai", "ft:gone"))
    places = {
        "first-model": "AGENT_MODEL",
        "a-typo": "AGENT_MODELS",
        "b-typo": "the name in --models or models=",
        "ft:gone": "the model in config/finetuned/",
    }
    async with (
        model_server(lambda body: refusal(404, "no such model")) as first,
        opened(first, AGENT_MODELS="a-typo") as session,
    ):
        with pytest.raises(ModelError) as caught:
            await run_experiment(
                session,
                "names",
                ["baseline", "history_sft"],
                ["goto"],
                [200],
                models=[name for name in places if name != "ft:gone"],
                results=tmp_path,
            )
    told = f"{capsys.readouterr().out}\nStopped: {caught.value}"
    for model, place in places.items():
        (line,) = (line for line in told.split("\n") if line.startswith(f"Stopped: {model}: "))
        assert f"check {place}, and that OPENAI_BASE_URL" in line


async def test_a_model_without_its_key_stops_only_runs_that_use_it(opened, tmp_path: Path) -> None:
    """One in models.toml, and one of a registered variant."""
    finetuned = tmp_path / "config" / "finetuned"
    async with model_server(lambda body: completion()) as first:
        shutil.copytree(CONFIG, tmp_path / "config")
        finetuned.mkdir()
        (finetuned / "history_sft.toml").write_text(registered("fireworks", "accounts/x/models/tuned"))
        toml = """
[models.claude]
routing = ["anthropic"]
[models.claude.providers.anthropic]
type = "anthropic"
model_name = "claude-sonnet-4-5"
"""
        async with opened(first, toml) as session:
            plan: dict[str, Any] = {"tasks": ["goto"], "seeds": [200], "results": tmp_path, "progress": False}
            for variants, models, key in (
                (["baseline"], ["claude"], "ANTHROPIC_API_KEY"),
                (["history_sft"], None, "FIREWORKS_API_KEY"),
            ):
                with pytest.raises(InputError, match=f"needs {key}, which is not set; add it to .env"):
                    await run_experiment(session, "keys", variants, models=models, **plan)
            assert len(await run_experiment(session, "keys", ["baseline"], **plan)) == 1


async def test_reasoning_and_cached_tokens_have_columns_and_a_price(
    opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 600},
        "completion_tokens_details": {"reasoning_tokens": 150},
    }
    answer = completion(usage=usage)
    async with (
        model_server(lambda body: answer) as first,
        opened(first, AGENT_MODELS="gpt-6-luna,unheard-of") as session,
    ):
        episodes = await run_experiment(
            session,
            "usage",
            ["baseline"],
            ["goto"],
            [200],
            results=tmp_path,
            progress=False,
            reasoning_effort="low",
        )
        stored = session.clickhouse().query(
            "SELECT model_name, sum(cost), count() FROM ModelInference WHERE inference_id IN "
            "(SELECT id FROM JsonInference WHERE tags['run'] = 'usage') GROUP BY 1 ORDER BY 1"
        )
    luna, unknown = (episodes.loc[episodes["model"] == name].iloc[0] for name in ("gpt-6-luna", "unheard-of"))
    calls = luna["episode_length"]
    assert (luna["cached_tokens"], luna["reasoning_tokens"]) == (600 * calls, 150 * calls)
    assert luna["output_tokens"] == 200 * calls
    by_hand = calls * (400 * 0.10 + 600 * 0.01 + 200 * 0.50) / 1e6
    assert luna["cost_usd"] == pytest.approx(by_hand)
    assert unknown["cost_usd"] != unknown["cost_usd"]
    costs = {name: (cost, count) for name, cost, count in stored.result_rows}
    assert float(costs["gpt-6-luna"][0]) == pytest.approx(by_hand)
    assert costs["unheard-of"][0] in (None, 0)
    assert all(body["reasoning_effort"] == "low" for body in first.asked)


async def test_a_refused_effort_is_left_out_said_and_recorded(
    opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def strict(body: Any) -> Any:
        if "reasoning_effort" in body:
            return refusal(400, "Unrecognized request argument supplied: reasoning_effort")
        return completion()

    async with model_server(strict) as first, opened(first) as session:
        await run_experiment(
            session,
            "effort",
            ["baseline"],
            ["goto"],
            [200],
            results=tmp_path,
            progress=False,
            reasoning_effort="low",
        )
    assert (
        "first-model is asked with a JSON schema, without reasoning_effort; run.json"
        in capsys.readouterr().out
    )
    assert "reasoning_effort" in Run.open("effort", results=tmp_path).manifest.dialects["first-model"].omitted


CLAUDE = """
[models.claude]
routing = ["anthropic"]
[models.claude.providers.anthropic]
type = "anthropic"
model_name = "claude-x"
api_base = "{base_url}"
"""


@pytest.mark.parametrize("kind", ["old", "new"])
async def test_a_server_of_anthropics_api_plays_an_episode(
    opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Strict about that API: an older model without schemas, and a newer one that refuses a temperature."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    async with (
        model_server(lambda body: completion()) as first,
        anthropic_server(models={"claude-x": OLD if kind == "old" else NEW}) as claude,
        opened(first, CLAUDE.format(base_url=claude.base_url)) as session,
    ):
        episodes = await run_experiment(
            session,
            f"claude-{kind}",
            ["baseline", "history_and_reasoning"],
            ["goto"],
            [200],
            models=["claude", "first-model"],
            temperature=0.5,
            results=tmp_path,
            progress=False,
        )
    assert set(episodes["model"]) == {"claude", "first-model"}
    assert (episodes["status"] == "ok").all()
    assert (episodes["input_tokens"] > 0).all()
    assert not first.asked[0].get("thinking")
    dialect = Run.open(f"claude-{kind}", results=tmp_path).manifest.dialects["claude"]
    assert "seed" in dialect.omitted
    assert ("temperature" in dialect.omitted) == (kind == "new")
    assert dialect.answer_format == ("tool" if kind == "old" else "schema")


async def test_the_ui_compares_each_variant_of_each_model(opened, tmp_path: Path) -> None:
    async with (
        model_server(lambda body: completion()) as first,
        model_server(lambda body: FORWARD) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        models = ["first-model", "second"]
        await run_experiment(
            session,
            "compared",
            ["baseline"],
            ["goto"],
            [200],
            models=models,
            workflow_evaluation=True,
            results=tmp_path,
            progress=False,
        )
        asked = session.clickhouse().query(
            "SELECT variant_name, tags['model'], count() FROM JsonInference WHERE tags['run'] = 'compared' "
            "GROUP BY 1, 2 ORDER BY 1"
        )
        pinned = session.clickhouse().query(
            "SELECT variant_pins['act'], run_display_name FROM DynamicEvaluationRun "
            "WHERE tags['run'] = 'compared' ORDER BY 1"
        )
    assert [row[:2] for row in asked.result_rows] == [(f"baseline@{name}", name) for name in models]
    assert pinned.result_rows == [(f"baseline@{name}", f"compared: baseline@{name}") for name in models]
