"""The learner behind the server, by the openai package: answers, usage, batches, jobs that stop and go on."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from tests.local.learner import NO_TORCH

pytest.importorskip("torch", reason=NO_TORCH)

from babyai_kit import ACTIONS
from babyai_kit.configuration.models import LEARNER_MODEL
from babyai_kit.local.learner import make_learner
from babyai_kit.local.learner.base_model import load_base_model
from babyai_kit.local.learner.build_report import BuildReport
from babyai_kit.local.learner.sampling import generate
from babyai_kit.local.learner.tokenizer import encode_prompt, read_prompt
from babyai_kit.local.learner.trainer import Learner
from babyai_kit.local.learner.training import Progress, Recipe
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.local.player.lazy_trainer import LazyTrainer
from tests.local.learner.test_data import chat, wander
from tests.support.tiny_model import TINY

TEXT = "Mission: go to the red ball\n\nCurrent observation:\na wall 3 steps forward\na red ball 1 step left"


@pytest.fixture
def learner(tmp_path_factory: pytest.TempPathFactory) -> Learner:
    return tiny_learner(tmp_path_factory)


def tiny_learner(tmp_path_factory: pytest.TempPathFactory, **options) -> Learner:
    # All tests share the base model.
    return Learner(tmp_path_factory.getbasetemp() / "learner", recipe=TINY, progress=False, **options)


@pytest.fixture
async def server(learner: Learner, tmp_path: Path) -> AsyncIterator[OfflinePlayer]:
    async with OfflinePlayer(trainers=[learner], folder=tmp_path / "player") as player:
        yield player


def client_of(player: OfflinePlayer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=player.base_url, api_key="none", max_retries=0)


async def ask(client: openai.AsyncOpenAI, model: str = LEARNER_MODEL, **options):
    messages = [{"role": "user", "content": TEXT}]
    return await client.chat.completions.create(model=model, messages=messages, **options)  # type: ignore[arg-type]


def text_of(answer) -> str:
    return answer.choices[0].message.content


async def upload(client: openai.AsyncOpenAI, examples: int = 60) -> str:
    turns = wander("goto", 1, examples)
    rows = [chat(turns, step, 2) for step in range(len(turns))]
    lines = [
        {"messages": [{"role": r, "content": t} for r, t in (*messages, ("assistant", answer))]}
        for messages, answer in rows
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return (await client.files.create(file=("train.jsonl", text), purpose="fine-tune")).id


async def ended(client: openai.AsyncOpenAI, job: str):
    while True:
        retrieved = await client.fine_tuning.jobs.retrieve(job)
        if retrieved.status in ("succeeded", "failed"):
            return retrieved
        await asyncio.sleep(0.05)


async def learning(client: openai.AsyncOpenAI, job: str) -> None:
    """Wait until the job has reported its first metrics."""
    while (await client.fine_tuning.jobs.list_events(job)).data[0].type != "metrics":  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_an_answer_is_the_schema_s_json_with_usage_of_the_model_s_own(server: OfflinePlayer):
    async with client_of(server) as client:
        answer = await ask(client, seed=1)
        assert json.loads(answer.choices[0].message.content)["action"] in ACTIONS
        assert answer.choices[0].finish_reason == "stop"
        assert "no-hosted-LLM" in answer.system_fingerprint
        prompt = encode_prompt(read_prompt([("user", TEXT)]), 100)
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (len(prompt), 2)
        cut = await ask(client, seed=1, max_tokens=1)
        assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 1)
        cards = {card.id: card.owned_by async for card in client.models.list()}
        assert "no hosted LLM" in cards[LEARNER_MODEL]


async def test_the_seed_determines_the_answer_and_calls_share_batches(
    tmp_path_factory: pytest.TempPathFactory,
):
    sizes = []

    def generate_and_count(model, requests):
        sizes.append(len(requests))
        return generate(model, requests)

    learner = tiny_learner(tmp_path_factory, generate=generate_and_count)
    async with OfflinePlayer(trainers=[learner]) as player, client_of(player) as client:
        await ask(client)
        calls = [[ask(client, seed=n) for n in range(32)] for _ in range(2)]
        first, second = [[text_of(a) for a in await asyncio.gather(*some)] for some in calls]
        cold = {text_of(await ask(client, temperature=0.0)) for _ in range(5)}
    assert first == second
    assert len(set(first)) > 1
    assert len(cold) == 1
    assert sum(sizes) == 70
    assert max(sizes) > 4


async def test_a_model_that_fails_fails_its_calls_and_not_the_server(
    tmp_path_factory: pytest.TempPathFactory,
):
    errors = [RuntimeError("out of memory")]

    def generate_after_errors(model, requests):
        if errors:
            raise errors.pop()
        return generate(model, requests)

    learner = tiny_learner(tmp_path_factory, generate=generate_after_errors)
    async with OfflinePlayer(trainers=[learner]) as player, client_of(player) as client:
        with pytest.raises(openai.InternalServerError):
            await ask(client)
        assert (await ask(client)).choices


async def test_a_job_is_cancelled_and_a_tuned_model_is_the_base_of_the_next(server: OfflinePlayer):
    async with client_of(server) as client:
        file = await upload(client)
        options = {"training_file": file, "seed": 1}
        long = await client.fine_tuning.jobs.create(
            model=LEARNER_MODEL, hyperparameters={"n_epochs": 50, "batch_size": 1}, **options
        )
        await learning(client, long.id)
        await client.fine_tuning.jobs.cancel(long.id)
        assert (await client.fine_tuning.jobs.retrieve(long.id)).status == "cancelled"
        first = await ended(client, (await client.fine_tuning.jobs.create(model=LEARNER_MODEL, **options)).id)
        assert first.status == "succeeded"
        assert first.fine_tuned_model.startswith(f"ft:{LEARNER_MODEL}:")
        onward = await client.fine_tuning.jobs.create(model=first.fine_tuned_model, **options)
        second = await ended(client, onward.id)
        kept = await client.fine_tuning.jobs.checkpoints.list(second.id)
        for model in (second.fine_tuned_model, kept.data[0].fine_tuned_model_checkpoint):
            assert (await ask(client, model)).choices[0].message.content


async def test_a_job_broken_off_by_a_restart_comes_to_the_same(learner: Learner, tmp_path: Path):
    weights = {}
    for name in ("whole", "broken"):
        folder = tmp_path / name
        async with OfflinePlayer(trainers=[learner], folder=folder) as player, client_of(player) as client:
            file = await upload(client)
            job = await client.fine_tuning.jobs.create(
                model=LEARNER_MODEL, training_file=file, seed=3, hyperparameters={"n_epochs": 20}
            )
            if name == "whole":
                await ended(client, job.id)
            else:
                await learning(client, job.id)
        async with OfflinePlayer(trainers=[learner], folder=folder) as player, client_of(player) as client:
            finished = await ended(client, job.id)
            assert finished.status == "succeeded"
            answers = [await ask(client, finished.fine_tuned_model, seed=n) for n in range(10)]
            weights[name] = [answer.choices[0].message.content for answer in answers]
    assert weights["whole"] == weights["broken"]


async def test_examples_without_an_action_fail_the_job_with_the_reason(server: OfflinePlayer):
    async with client_of(server) as client:
        line = {"messages": [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "well"}]}
        text = (json.dumps(line) + "\n").encode() * 12
        file = await client.files.create(file=("train.jsonl", text), purpose="fine-tune")
        job = await client.fine_tuning.jobs.create(model=LEARNER_MODEL, training_file=file.id)
        failed = await ended(client, job.id)
    assert failed.status == "failed"
    assert "six actions" in failed.error.message


async def test_a_learner_that_is_loaded_on_demand_answers(tmp_path: Path, learner: Learner):
    loads: list[Learner] = []
    lazy = make_learner(tmp_path / "unused", progress=False)
    on_demand = LazyTrainer(
        lambda: loads.append(learner) or learner,  # type: ignore[func-returns-value]
        models=lazy.models,
        owner=lazy.owner,
        fingerprint=lazy.fingerprint,
    )
    async with OfflinePlayer(trainers=[on_demand]) as player, client_of(player) as client:
        assert not loads
        answers = await asyncio.gather(*(ask(client, seed=n) for n in range(8)))
        job = await client.fine_tuning.jobs.create(model=LEARNER_MODEL, training_file=await upload(client))
        assert (await ended(client, job.id)).status == "succeeded"
    assert all("no-hosted-LLM" in answer.system_fingerprint for answer in answers)
    assert loads == [learner]


def test_the_base_model_is_built_once_and_follows_from_its_recipe(tmp_path: Path):
    recipe = replace(TINY, episodes=2, training=Recipe(epochs=1, rows=16))
    steps: list[Progress] = []
    one = load_base_model(tmp_path / "one", recipe, on_progress=steps.append).state_dict()
    again = load_base_model(tmp_path / "one", recipe, on_progress=steps.append).state_dict()
    afresh = load_base_model(tmp_path / "two", recipe).state_dict()
    other = load_base_model(tmp_path / "two", replace(recipe, seed=1)).state_dict()
    assert steps[-1].step == steps[-1].steps == len(steps)
    assert all(one[name].equal(again[name]) and one[name].equal(afresh[name]) for name in one)
    assert not one["tokens.weight"].equal(other["tokens.weight"])


def test_a_base_model_says_in_plain_lines_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(TINY, episodes=2, training=Recipe(epochs=1, rows=16))
    quiet = Learner(tmp_path / "quiet", recipe=recipe, progress=False)
    quiet.prepare()
    assert capsys.readouterr() == ("", "")
    for out in ("built now", ""):  # The second time it is there.
        Learner(tmp_path / "base", recipe=recipe).prepare()
        printed = capsys.readouterr()
        assert printed.err == ""
        assert out in printed.out
        assert not set(printed.out) & {"\r", "\x1b"}
    assert printed.out == ""


def test_a_build_says_how_many_steps_and_how_much_time_are_left() -> None:
    lines: list[str] = []
    report = BuildReport(lines.append, every_s=0)
    for step in range(1, 4):
        report(Progress(step, 3, loss=1.0, accuracy=0.5))
    assert lines[0] == "The learner's base model is built now, and kept for later runs."
    assert re.fullmatch(r"Base model: 2 of 3 steps, \d+ s left", lines[1])
    assert re.fullmatch(r"Base model: built in \d+ s\.", lines[2])
    assert len(lines) == 3


def test_pytorch_is_not_loaded_before_the_learner_is_asked(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from babyai_kit.local.learner import make_learner
from babyai_kit.local.player import OfflinePlayer

async def main():
    async with OfflinePlayer(trainers=[make_learner("learner")], folder="player") as player:
        assert "babyai-learner" in player.models
    assert "torch" not in sys.modules

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
