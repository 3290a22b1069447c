"""Models of one run begin to play when their own first questions are answered, and fail alone."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run, load_episodes, run_experiment
from babyai_kit.errors import InputError, ModelError
from babyai_kit.experiment.patience import Backoff
from babyai_kit.runs.shards import merge
from tests.support.model_server import Body, completion, model_server, own_model, refusal

pytestmark = pytest.mark.e2e

HURRIED = Backoff(first_wait_s=0.01, max_wait_s=0.05)
BOTH = ["first-model", "second"]
PLAN: dict[str, Any] = {
    "variants": ["baseline"],
    "tasks": ["goto"],
    "seeds": [200, 201],
    "models": BOTH,
    "progress": False,
    "backoff": HURRIED,
}


async def until_played(run: Path, episodes: int, running: asyncio.Task[Any]) -> Run:
    """The run on disk as soon as it has so many episodes."""
    while not (now := Run.at(run)) or len(now.episodes()) < episodes:
        await asyncio.sleep(0.02)
        assert not running.done()
    return now


@pytest.mark.parametrize("how", ["loads", "limits"])
async def test_a_model_that_is_not_ready_holds_no_other(
    opened, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is ready when the other has played all its episodes; a command killed before that is continued."""
    ready = asyncio.Event()

    async def slow(body: Body) -> Any:
        if how == "loads":
            await ready.wait()
        return completion() if ready.is_set() else refusal(429, "too many", Retry_After="0.05")

    async with (
        model_server(slow) as first,
        model_server(lambda body: completion()) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        running = asyncio.create_task(run_experiment(session, "run", **PLAN, results=tmp_path))
        so_far = await until_played(tmp_path / "run", 2, running)
        assert set(so_far.episodes()["model"]) == {"second"}
        assert set(so_far.manifest.dialects) == {"second"}
        # What a SIGKILL leaves.
        shutil.copytree(tmp_path / "run", tmp_path / "killed" / "run")
        ready.set()
        whole = await running
        asked = len(second.asked)
        continued = await run_experiment(session, "run", **PLAN, results=tmp_path / "killed")
        assert len(second.asked) == asked
    told = capsys.readouterr().out
    assert told.index("0 of 4 episodes are done") < told.index("2 of 4 episodes are done")
    for episodes, results in ((whole, tmp_path), (continued, tmp_path / "killed")):
        assert list(episodes["model"]).count("first-model") == 2
        assert (episodes["status"] == "ok").all()
        run = Run.open("run", results=results)
        assert set(run.manifest.dialects) == set(BOTH)
        assert {e.variant_digest for e in run.episode_records().values()} == set(
            run.manifest.digests["baseline"].values()
        )
        assert len(load_episodes("run", results=results)) == 4


async def test_a_model_that_refuses_its_first_question_stops_alone(
    opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = True
    async with (
        model_server(lambda body: refusal(401, "no") if locked else completion()) as first,
        model_server(lambda body: completion()) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        with pytest.raises(
            ModelError, match=r"^first-model: none of its episodes was run: the model server refused the key"
        ):
            await run_experiment(session, "run", **PLAN, results=tmp_path)
        assert list(load_episodes("run", results=tmp_path)["model"]) == ["second"] * 2
        told = capsys.readouterr().out
        assert told.count("Stopped: first-model: none of its episodes was run") == 1
        assert "2 of 4 episodes are unfinished; the same command continues them." in told
        locked, asked = False, len(second.asked)
        assert len(await run_experiment(session, "run", **PLAN, results=tmp_path)) == 4
        assert len(second.asked) == asked


async def test_models_of_which_none_answers_end_the_command_before_anything_is_run(
    opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        model_server(lambda body: refusal(401, "no")) as first,
        model_server(lambda body: refusal(404, "no such model")) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        with pytest.raises(ModelError, match=r"^first-model: none of its episodes was run"):
            await run_experiment(session, "run", **PLAN, results=tmp_path)
    assert "Stopped: second: it does not answer, so none of its episodes was run" in capsys.readouterr().out
    assert Run.at(tmp_path / "run") is None


async def test_a_dialect_that_is_refused_later_stops_its_own_model_alone(opened, tmp_path: Path) -> None:
    """A run never mixes two, which is an error of the input; so is an agent that needs what a model lacks."""
    changed = False

    def first_answer(body: Body) -> Any:
        return refusal(400, "response_format is not supported") if changed else completion()

    async with (
        model_server(first_answer) as first,
        model_server(lambda body: completion()) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        await run_experiment(session, "run", **{**PLAN, "seeds": [200]}, results=tmp_path)
        changed = True
        with pytest.raises(InputError, match=r"^first-model: this run asked first-model with a JSON schema"):
            await run_experiment(session, "run", **PLAN, results=tmp_path)
    done = load_episodes("run", results=tmp_path)
    assert sorted(zip(done["model"], done["seed"], strict=True)) == [
        ("first-model", 200),
        ("second", 200),
        ("second", 201),
    ]


async def test_a_shard_in_which_a_model_did_not_play_hides_nothing_of_another(opened, tmp_path: Path) -> None:
    locked = True
    async with (
        model_server(lambda body: refusal(401, "no") if locked else completion()) as first,
        model_server(lambda body: completion()) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        with pytest.raises(ModelError):
            await run_experiment(session, "run", **PLAN, shard=(0, 2), results=tmp_path)
        locked = False
        await run_experiment(session, "run", **PLAN, shard=(1, 2), results=tmp_path)
    assert merge("run", results=tmp_path) == 3
    merged = load_episodes("run", results=tmp_path)
    assert sorted(zip(merged["model"], merged["seed"], strict=True)) == [
        ("first-model", 201),
        ("second", 200),
        ("second", 201),
    ]


@pytest.mark.parametrize("tokens", [30, 2 * 64 * 13])
async def test_a_spent_budget_waits_for_no_model(
    opened, tmp_path: Path, capsys: pytest.CaptureFixture[str], tokens: int
) -> None:
    """Spent in the middle of what the other model plays, and by the last answer to it."""
    never = asyncio.Event()
    async with (
        model_server(lambda body: never.wait()) as first,
        model_server(lambda body: completion()) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        await run_experiment(session, "run", **PLAN, max_tokens_total=tokens, results=tmp_path)
        never.set()
    told = capsys.readouterr().out
    assert told.count(f"Stopped: the budget of {tokens:,} tokens is spent") == 1
    assert len(first.asked) == 1
    assert set(Run.open("run", results=tmp_path).manifest.dialects) == {"second"}


async def test_what_was_played_is_found_again_without_run_json(opened, tmp_path: Path) -> None:
    """Which alone says how a model was asked: what is done is known when it has answered."""
    async with (
        model_server(lambda body: completion()) as first,
        model_server(lambda body: completion()) as second,
        opened(first, own_model("second", second.base_url)) as session,
    ):
        await run_experiment(session, "run", **{**PLAN, "seeds": [200]}, results=tmp_path)
        (tmp_path / "run" / "run.json").unlink()
        asked = len(first.asked), len(second.asked)
        again = await run_experiment(session, "run", **{**PLAN, "seeds": [200]}, results=tmp_path)
        assert (len(first.asked), len(second.asked)) == (asked[0] + 1, asked[1] + 1)
    assert len(again) == 2
    assert (again["status"] == "ok").all()
