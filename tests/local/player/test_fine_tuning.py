"""/v1/files and /v1/fine_tuning/jobs as the openai package meets them."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import Field

from babyai_kit.configuration.models import OFFLINE_MODEL
from babyai_kit.environment import ACTIONS, TASKS, make_env
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.local.player.chat_request import parse_request
from babyai_kit.local.player.hyperparameters import Hyperparameters
from babyai_kit.local.player.lazy_trainer import LazyTrainer
from babyai_kit.local.player.policy_answer import policy_answer
from babyai_kit.local.player.trainer import Player, Trainer, TrainingJob, TrainingLog
from babyai_kit.local.player.training_file import read_examples
from tests.support.messages import RULES, body, until, user_text

ENDED = ("succeeded", "failed", "cancelled")
LIFE = [
    "Created fine-tuning job",
    "Validating training file",
    "Files validated",
    "Fine-tuning job started",
    "New fine-tuned model created",
    "The job has successfully completed",
]


def example(
    action: str, mission: str = "go to the red ball", observation: str = "a red ball 2 steps forward"
) -> dict:
    turns = [
        ("system", RULES),
        ("user", user_text(mission, observation)),
        ("assistant", json.dumps({"action": action})),
    ]
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def jsonl(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


GOOD = jsonl([example("turn left")] * 12)


def dialogue(*actions: str, weights: Sequence[int | None]) -> dict:
    """A conversation of a turn per action; None: without a weight."""
    turns = [{"role": "system", "content": RULES}]
    for act, weight in zip(actions, weights, strict=True):
        text = user_text("go to the red ball", "a red ball 2 steps forward")
        answer = {"role": "assistant", "content": json.dumps({"action": act})}
        turns += [{"role": "user", "content": text}, answer | ({} if weight is None else {"weight": weight})]
    return {"messages": turns}


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[tuple[OfflinePlayer, openai.AsyncOpenAI]]:
    async with (
        OfflinePlayer(**options) as player,
        openai.AsyncOpenAI(base_url=player.base_url, api_key="k", max_retries=0) as client,
    ):
        yield player, client


async def upload(client: openai.AsyncOpenAI, content: bytes = GOOD) -> str:
    return (await client.files.create(file=("train.jsonl", content), purpose="fine-tune")).id


async def finished(client: openai.AsyncOpenAI, job_id: str, statuses: Sequence[str] = ENDED) -> Any:
    for _ in range(500):
        job = await client.fine_tuning.jobs.retrieve(job_id)
        if job.status in statuses:
            return job
        await asyncio.sleep(0.02)
    raise AssertionError(f"the job did not come to {statuses}")


async def tuned(client: openai.AsyncOpenAI, content: bytes = GOOD, **options: Any) -> Any:
    job = await client.fine_tuning.jobs.create(
        **{"model": OFFLINE_MODEL, "training_file": await upload(client, content), **options}
    )
    return await finished(client, job.id)


async def action(client: openai.AsyncOpenAI, model: str, **fields: Any) -> str:
    request = body(observation="a red ball 2 steps forward", temperature=0, seed=1, **fields)
    answer = await client.chat.completions.create(**request | {"model": model})
    return json.loads(answer.choices[0].message.content)["action"]


class SlowTrainer(Trainer):
    """A trainer that works until `stop` is set."""

    models = ("slow",)
    owner = "tests"
    fingerprint = "slow"
    resumable = False

    def __init__(self) -> None:
        self.jobs: list[TrainingJob] = []
        self.stop = asyncio.Event()

    def player(self, model: str, folder: Path | None) -> Player:
        return lambda request: '{"action": "drop"}' if folder else '{"action": "toggle"}'

    async def train(self, job: TrainingJob, log: TrainingLog) -> None:
        self.jobs.append(job)
        log.metrics(1, train_loss=0.5)
        (job.folder / "step-1").mkdir()
        log.checkpoint(1, {"train_loss": 0.5})
        await self.stop.wait()


async def test_a_file_goes_up_and_comes_back() -> None:
    async with served() as (_, client):
        file = await client.files.create(file=("../a.jsonl", GOOD), purpose="fine-tune")
        assert (file.filename, file.bytes, file.purpose) == ("a.jsonl", len(GOOD), "fine-tune")
        assert await client.files.retrieve(file.id) == file
        assert (await client.files.content(file.id)).content == GOOD
        assert [f.id async for f in await client.files.list(purpose="fine-tune")] == [file.id]
        assert (await client.files.delete(file.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(file.id)
        for bad in ({"purpose": "nonsense"}, {"file": ("empty", b"")}):
            with pytest.raises(openai.BadRequestError):
                await client.files.create(**{"file": ("a", GOOD), "purpose": "fine-tune", **bad})
        for name in ("..%2Fjobs", "file-zz", "file-..%2f..%2fx"):
            with pytest.raises(openai.NotFoundError):
                await client.files.content(name)


async def test_a_job_teaches_what_its_examples_show() -> None:
    async with served() as (_, client):
        assert await action(client, OFFLINE_MODEL) == "go forward"
        job = await tuned(
            client, suffix="my act!", seed=3, hyperparameters={"n_epochs": 2}, metadata={"a": "b"}
        )
        assert (job.status, job.error, job.seed, job.metadata) == ("succeeded", None, 3, {"a": "b"})
        assert job.finished_at >= job.created_at
        assert job.trained_tokens > 2 * 12 * 10
        assert job.fine_tuned_model.startswith(f"ft:{OFFLINE_MODEL}:offline:my-act:")
        assert await action(client, job.fine_tuned_model) == "turn left"
        assert await action(client, OFFLINE_MODEL) == "go forward"
        assert [m.id async for m in await client.models.list()] == [OFFLINE_MODEL, job.fine_tuned_model]
        assert (await client.models.retrieve(job.fine_tuned_model)).id == job.fine_tuned_model

        events = [e async for e in client.fine_tuning.jobs.list_events(job.id, limit=2)]
        messages = [e.message for e in reversed(events) if e.type == "message"]
        assert [s for s, start in zip(messages, LIFE, strict=True) if not s.startswith(start)] == []
        curve = [e.data for e in reversed(events) if e.type == "metrics"]
        assert curve[-1]["train_loss"] <= curve[0]["train_loss"]
        assert "valid_loss" not in curve[0]
        table = (await client.files.content(job.result_files[0])).text.splitlines()
        assert table[0] == "step,train_loss,train_mean_token_accuracy"
        assert len(table) == 1 + len(curve)


async def test_a_job_goes_on_from_a_tuned_model() -> None:
    rows = [example("turn left")] * 10 + [example("drop", observation="a red ball 5 steps forward")] * 2
    async with served() as (_, client):
        first = await tuned(client, jsonl(rows))
        right = jsonl([example("turn right", "pick up the red ball")] * 12)
        second = await tuned(
            client, right, model=first.fine_tuned_model, validation_file=await upload(client)
        )
        assert second.fine_tuned_model.startswith(f"ft:{OFFLINE_MODEL}:offline:")
        assert await action(client, second.fine_tuned_model) == "turn left"
        assert await action(client, second.fine_tuned_model, mission="pick up the red ball") == "turn right"
        metrics = [e async for e in client.fine_tuning.jobs.list_events(second.id) if e.type == "metrics"]
        assert "valid_loss" in metrics[0].data


def own_examples(seeds: Sequence[int]) -> list[dict]:
    """The first steps that the player itself takes in each task."""
    rows = []
    for task, seed in itertools.product(TASKS, seeds):
        env = make_env(task)
        observation, _ = env.reset(seed=seed)
        for step in range(20):
            question = body(observation["mission"], observation["text"], seed=100 * seed + step)
            answer = json.loads(policy_answer(parse_request(json.dumps(question).encode())))
            rows.append(example(answer["action"], observation["mission"], observation["text"]))
            observation, _, terminated, _, _ = env.step(ACTIONS.index(answer["action"]))
            if terminated:
                break
    return rows


async def curve(client: openai.AsyncOpenAI, job: Any) -> list[dict]:
    """The job's metrics, oldest first."""
    events = [e async for e in client.fine_tuning.jobs.list_events(job.id)]
    return [e.data for e in reversed(events) if e.type == "metrics"]


async def test_validation_accuracy_rises_while_it_learns_from_its_own_episodes() -> None:
    async with served() as (_, client):
        validation = await upload(client, jsonl(own_examples(range(100, 110))))
        job = await tuned(client, jsonl(own_examples(range(12))), validation_file=validation, seed=1)
        accuracies = [row["valid_mean_token_accuracy"] for row in await curve(client, job)]
    untuned = 0.5**2 + 5 * 0.1**2  # how often two answers of the player to one question agree
    assert accuracies[-1] > accuracies[0] > untuned - 0.05
    assert accuracies[-1] > untuned + 0.02


async def test_what_no_example_shows_counts_as_the_base_would_answer_it() -> None:
    unseen = jsonl([example("go forward", "pick up the green key", "a green key 3 steps forward")])
    async with served() as (_, client):
        job = await tuned(client, validation_file=await upload(client, unseen))
        accuracies = [row["valid_mean_token_accuracy"] for row in await curve(client, job)]
    assert accuracies == pytest.approx([0.5] * len(accuracies))


async def test_an_action_that_no_example_takes_has_a_finite_loss() -> None:
    other = jsonl([example("drop")])
    async with served() as (_, client):
        job = await tuned(client, validation_file=await upload(client, other))
        (*_, last) = await curve(client, job)
    assert last["valid_mean_token_accuracy"] == 0
    assert last["valid_loss"] == pytest.approx(-math.log(0.01))


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (jsonl([example("drop")] * 9), "invalid_n_examples", "has 9 example"),
        (b"{\n" + GOOD, "invalid_training_file", "Line 1: not valid JSON"),
        (GOOD + b"[1]\n", "invalid_training_file", "Line 13: not a JSON object"),
        (GOOD + b'{"prompt": "a"}\n', "invalid_training_file", "Line 13: missing key 'messages'"),
        (GOOD + jsonl([{"messages": []}]), "invalid_training_file", "Line 13: Invalid 'messages'"),
        (
            GOOD + jsonl([{"messages": [{"role": "robot", "content": "a"}]}]),
            "invalid_training_file",
            r"Line 13: Invalid 'messages\[0\].role'",
        ),
        (
            GOOD + jsonl([{"messages": example("drop")["messages"][:2]}]),
            "invalid_training_file",
            "must be from the assistant",
        ),
        (
            GOOD + jsonl([dialogue("drop", weights=[0])]),
            "invalid_training_file",
            "Line 13: every message of the assistant has weight 0",
        ),
        (
            GOOD + jsonl([dialogue("drop", weights=[2])]),
            "invalid_training_file",
            r"Line 13: Invalid 'messages\[2\].weight'",
        ),
        (
            jsonl([example("fly")] * 12),
            "invalid_training_file",
            "No example ends with one",
        ),
    ],
)
async def test_bad_examples_fail_the_job_and_name_the_line(content: bytes, code: str, message: str) -> None:
    async with served() as (_, client):
        job = await tuned(client, content)
        assert job.status == "failed"
        assert (job.error.code, job.error.param) == (code, "training_file")
        assert re.search(message, job.error.message)
        newest = (await client.fine_tuning.jobs.list_events(job.id)).data[0]
        assert (newest.level, newest.message) == ("error", job.error.message)
        assert job.fine_tuned_model is None


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"model": "gpt-9"}, "model"),
        ({"training_file": "file-0"}, "training_file"),
        ({"validation_file": "file-0"}, "validation_file"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"method": {"type": "dpo"}}, "method.type"),
        ({"suffix": "s" * 65}, "suffix"),
        ({"hyperparameters": {"batch_size": "many"}}, "hyperparameters.batch_size"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": True}}}},
            "method.supervised.hyperparameters.n_epochs",
        ),
        ({"seed": -1}, "seed"),
    ],
)
async def test_a_bad_request_makes_no_job(wrong: Mapping[str, Any], param: str) -> None:
    async with served() as (_, client):
        with pytest.raises(openai.BadRequestError) as raised:
            await tuned(client, **wrong)
        assert raised.value.param == param
        assert (await client.fine_tuning.jobs.list()).data == []
        with pytest.raises(openai.NotFoundError):
            await client.fine_tuning.jobs.retrieve("ftjob-0")


async def test_hyperparameters_are_found_in_either_place() -> None:
    async with served() as (_, client):

        async def epochs(**fields: Any) -> int:
            job = await tuned(client, **fields)
            assert job.method.supervised.hyperparameters.n_epochs == job.hyperparameters.n_epochs
            return job.hyperparameters.n_epochs

        of_method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
        empty = {"type": "supervised", "supervised": {"hyperparameters": {}}}
        assert await epochs(method=of_method, hyperparameters={"n_epochs": 7}) == 2
        assert await epochs(method=empty, hyperparameters={"n_epochs": 7}) == 7
        assert await epochs() == await epochs(hyperparameters={"n_epochs": "auto"}) == 3


class OwnHyperparameters(Hyperparameters):
    n_epochs: int = Field(1, ge=1, le=5)
    lora_rank: int | None = Field(None, ge=1, le=64)
    frozen_layers: int = Field(10, ge=0, le=30)


class WideTrainer(SlowTrainer):
    """A trainer with hyperparameters of its own, which counts what it trains on."""

    async def train(self, job: TrainingJob, log: TrainingLog) -> int | None:
        self.jobs.append(job)
        return 1234

    def hyperparameters(self) -> type[Hyperparameters]:
        return OwnHyperparameters


@pytest.mark.parametrize("lazy", [False, True])
async def test_a_trainer_may_take_more_hyperparameters(lazy: bool) -> None:
    wide = WideTrainer()
    trainer: Trainer = wide
    if lazy:
        described = {"models": wide.models, "owner": "tests", "fingerprint": "slow"}
        trainer = LazyTrainer(lambda: wide, **described, hyperparameters=wide.hyperparameters)

    def method(**given: Any) -> dict[str, Any]:
        return {"type": "supervised", "supervised": {"hyperparameters": given}}

    async with served(trainers=[trainer]) as (_, client):
        given = {"lora_rank": 8, "frozen_layers": "auto", "learning_rate_multiplier": 2}
        job = await tuned(client, model="slow", method=method(**given))
        assert (job.status, job.trained_tokens) == ("succeeded", 1234)
        assert job.method.supervised.hyperparameters.model_dump() == job.hyperparameters.model_dump()
        again = await tuned(client, model=job.fine_tuned_model, hyperparameters={"frozen_layers": 0})
        assert again.status == "succeeded"
        wrong = [{"lora_rank": 65}, {"lora_rank": "8"}, {"lora": 8}, {"n_epochs": 6}]
        for values in wrong:
            with pytest.raises(openai.BadRequestError) as raised:
                await tuned(client, model="slow", method=method(**values))
            assert raised.value.param == f"method.supervised.hyperparameters.{next(iter(values))}"
        with pytest.raises(openai.BadRequestError, match="There are n_epochs, batch_size,") as raised:
            await tuned(client, hyperparameters={"lora_rank": 8})  # the offline player has no such thing
        assert (raised.value.code, raised.value.param) == ("unknown_parameter", "hyperparameters.lora_rank")
        assert len((await client.fine_tuning.jobs.list()).data) == 2
    learned = {"learning_rate_multiplier": 2.0}
    assert [job.hyperparameters for job in wide.jobs] == [
        {"n_epochs": 1, "lora_rank": 8, "frozen_layers": 10, **learned},
        {"n_epochs": 1, "frozen_layers": 0},
    ]
    assert job.hyperparameters.model_dump() == {
        "n_epochs": 1, "lora_rank": 8, "frozen_layers": 10, "batch_size": "auto", **learned
    }  # fmt: skip


def test_each_message_of_the_assistant_is_learned_but_for_weight_0(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    call = {"type": "function", "id": "c", "function": {"name": "act", "arguments": '{"action": "toggle"}'}}
    by_tool = [*dialogue("drop", weights=[0])["messages"], {"role": "assistant", "tool_calls": [call]}]
    rows = [dialogue("drop", "toggle", "drop", weights=[None, 0, 1]), {"messages": by_tool}]
    file.write_bytes(jsonl(rows))
    first, second = read_examples(file, min_examples=1)
    assert first.learned == (False, False, True, False, False, False, True)
    assert [(len(prompt), answer) for prompt, answer in first.turns()] == [
        (2, '{"action": "drop"}'),
        (6, '{"action": "drop"}'),
    ]
    assert (first.prompt, first.answer) == (first.messages[:-1], '{"action": "drop"}')
    assert [(len(prompt), answer) for prompt, answer in second.turns()] == [(3, '{"action": "toggle"}')]


async def test_a_weight_of_0_keeps_a_bad_answer_out() -> None:
    async with served() as (_, client):
        for weights, learned in (([0, 1], False), ([None, None], True)):
            job = await tuned(client, jsonl([dialogue("drop", "turn left", weights=weights)] * 20))
            request = body(observation="a red ball 2 steps forward") | {"model": job.fine_tuned_model}
            answers = [await client.chat.completions.create(**request, seed=seed) for seed in range(20)]
            actions = {json.loads(answer.choices[0].message.content)["action"] for answer in answers}
            assert (actions == {"drop"}) == learned


async def test_one_job_runs_at_a_time_and_each_can_be_cancelled() -> None:
    slow = SlowTrainer()
    async with served(trainers=[slow]) as (_, client):
        file = await upload(client)
        jobs = [await client.fine_tuning.jobs.create(model="slow", training_file=file) for _ in range(3)]
        assert {job.status for job in jobs} == {"validating_files"}
        await until(lambda: slow.jobs)

        async def statuses() -> list[str]:
            return [(await client.fine_tuning.jobs.retrieve(job.id)).status for job in jobs]

        for job in jobs[1:]:
            await finished(client, job.id, ["queued"])
        assert await statuses() == ["running", "queued", "queued"]
        assert (await client.fine_tuning.jobs.cancel(jobs[1].id)).status == "cancelled"
        assert (await client.fine_tuning.jobs.cancel(jobs[0].id)).status == "cancelled"
        await until(lambda: len(slow.jobs) == 2)
        slow.stop.set()
        last = await finished(client, jobs[2].id)
        assert (await statuses()) == ["cancelled", "cancelled", "succeeded"]
        with pytest.raises(openai.BadRequestError):
            await client.fine_tuning.jobs.cancel(last.id)
        listed = client.fine_tuning.jobs.list(limit=1)
        assert [job.id async for job in listed] == [job.id for job in reversed(jobs)]
        (checkpoint,) = (await client.fine_tuning.jobs.checkpoints.list(last.id)).data
        assert checkpoint.step_number == 1
        assert await action(client, checkpoint.fine_tuned_model_checkpoint) == "drop"
        assert await action(client, "slow") == "toggle"


async def test_a_fine_tuned_model_can_be_deleted(tmp_path: Path) -> None:
    slow = SlowTrainer()
    slow.stop.set()

    async def missing(client: openai.AsyncOpenAI, name: str) -> bool:
        for call in (client.models.retrieve(name), action(client, name), client.models.delete(name)):
            with pytest.raises(openai.NotFoundError) as refused:
                await call
            assert refused.value.code == "model_not_found"
        return name not in [model.id async for model in client.models.list()]

    async with served(folder=tmp_path, trainers=[slow]) as (_, client):
        first = await tuned(client, model="slow")
        second = await tuned(client, model=first.fine_tuned_model)
        one, other = first.fine_tuned_model, second.fine_tuned_model
        for name in (one, f"{one}:ckpt-step-1", other, f"{other}:ckpt-step-1"):
            assert await action(client, name) == "drop"
        # A job that needs the model keeps it, and has no model of its own yet.
        slow.stop.clear()
        file = await upload(client)
        third = await client.fine_tuning.jobs.create(model=f"{one}:ckpt-step-1", training_file=file)
        await finished(client, third.id, ["running"])
        with pytest.raises(openai.ConflictError, match=third.id):
            await client.models.delete(one)
        assert await missing(client, f"ft:slow:offline::{third.id[-8:]}")
        assert await action(client, one) == "drop"
        await client.fine_tuning.jobs.cancel(third.id)
        # A checkpoint goes alone, a model with its checkpoints, and nothing with a name that is none.
        await client.models.delete(f"{other}:ckpt-step-1")
        assert await missing(client, f"{other}:ckpt-step-1")
        assert await missing(client, f"{one}:ckpt-step-x")
        deleted = await client.models.delete(one)
        assert (deleted.id, deleted.object, deleted.deleted) == (one, "model", True)
        assert await missing(client, one)
        assert await missing(client, f"{one}:ckpt-step-1")
        assert [path.name for path in (tmp_path / "jobs" / first.id).glob("model*")] == []
        for base in ("slow", OFFLINE_MODEL):
            with pytest.raises(openai.PermissionDeniedError, match="base model"):
                await client.models.delete(base)
            assert await action(client, base)
        assert (await client.fine_tuning.jobs.retrieve(first.id)).status == "succeeded"
        with pytest.raises(openai.BadRequestError):
            await client.fine_tuning.jobs.create(model=one, training_file=file)
        assert await action(client, other) == "drop"
    async with served(folder=tmp_path, trainers=[slow]) as (_, client):
        assert await missing(client, one)
        assert await action(client, other) == "drop"
        slow.stop.set()
        last = await tuned(client, model=other)
        assert last.fine_tuned_model.startswith("ft:slow:offline:")


async def test_a_tuned_model_outlives_the_server_and_an_interrupted_job_fails(tmp_path: Path) -> None:
    async with served(folder=tmp_path, trainers=[SlowTrainer()]) as (_, client):
        good = await tuned(client)
        running = await client.fine_tuning.jobs.create(model="slow", training_file=good.training_file)
        await finished(client, running.id, ["running"])
    async with served(folder=tmp_path, trainers=[SlowTrainer()]) as (_, client):
        interrupted = await finished(client, running.id)
        assert (interrupted.status, interrupted.error.code) == ("failed", "server_restarted")
        assert await client.fine_tuning.jobs.retrieve(good.id) == good
        assert await action(client, good.fine_tuned_model) == "turn left"
        assert (await client.files.content(good.training_file)).content == GOOD


class ResumableTrainer(SlowTrainer):
    """Waits in the middle at its first try; the second goes on one step before that."""

    resumable = True

    async def train(self, job: TrainingJob, log: TrainingLog) -> None:
        again = (job.folder / "step-2").exists()
        self.jobs.append(job)
        for step in (2, 3) if again else (1, 2):
            (job.folder / f"step-{step}").mkdir(exist_ok=True)
            log.metrics(step, train_loss=1 / step, **({"valid_loss": 2.0} if again else {}))
            log.checkpoint(step, {"train_loss": 1 / step})
        if not again:
            await self.stop.wait()


async def test_a_job_that_goes_on_after_a_restart_keeps_all_of_its_metrics(tmp_path: Path) -> None:
    first = ResumableTrainer()
    async with served(folder=tmp_path, trainers=[first]) as (_, client):
        job = await client.fine_tuning.jobs.create(model="slow", training_file=await upload(client))
        await until(lambda: first.jobs)
    async with served(folder=tmp_path, trainers=[ResumableTrainer()]) as (_, client):
        done = await finished(client, job.id)
        assert done.status == "succeeded"
        (result,) = done.result_files
        lines = (await client.files.content(result)).text.splitlines()
        kept = [row.step_number async for row in client.fine_tuning.jobs.checkpoints.list(job.id)]
    assert lines[0] == "step,train_loss,valid_loss"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]
    assert [line.split(",")[2] for line in lines[1:]] == ["", "2.0", "2.0"]
    assert kept == [3, 2, 1]


async def test_a_job_waits_for_a_server_that_trains_its_model(tmp_path: Path) -> None:
    first = ResumableTrainer()
    async with served(folder=tmp_path, trainers=[first]) as (_, client):
        file = await upload(client)
        job = await client.fine_tuning.jobs.create(model="slow", training_file=file)
        given_up = await client.fine_tuning.jobs.create(model="slow", training_file=file)
        await until(lambda: first.jobs)
        async with served(folder=tmp_path) as (_, other):  # says nothing of jobs that the first works on
            pass
    state = tmp_path / "jobs" / job.id / "state"
    state.mkdir(exist_ok=True)
    async with served(folder=tmp_path) as (_, other):
        assert (await other.fine_tuning.jobs.retrieve(job.id)).status == "running"
        told = [e for e in (await other.fine_tuning.jobs.list_events(job.id)).data if e.level == "warn"]
        assert [event.message for event in told] == [
            "This server does not train slow; the job waits for one that does"
        ]
        assert (await other.fine_tuning.jobs.cancel(given_up.id)).status == "cancelled"
    assert state.exists()
    async with served(folder=tmp_path, trainers=[ResumableTrainer()]) as (_, client):
        assert (await finished(client, job.id)).status == "succeeded"
        assert (await client.fine_tuning.jobs.retrieve(given_up.id)).status == "cancelled"


async def test_a_second_server_on_the_folder_leaves_the_firsts_jobs_alone(tmp_path: Path) -> None:
    slow = SlowTrainer()
    async with served(folder=tmp_path, trainers=[slow]) as (_, client):
        job = await client.fine_tuning.jobs.create(model="slow", training_file=await upload(client))
        await until(lambda: slow.jobs)
        async with served(folder=tmp_path, trainers=[SlowTrainer()]) as (_, second):
            await asyncio.sleep(0.1)
            assert (await second.fine_tuning.jobs.retrieve(job.id)).status == "running"
            with pytest.raises(openai.ConflictError):
                await second.fine_tuning.jobs.cancel(job.id)
            slow.stop.set()
            done = await finished(client, job.id)
            assert await action(second, done.fine_tuned_model) == "drop"


async def test_a_trainer_that_breaks_fails_its_job_alone() -> None:
    class BrokenTrainer(SlowTrainer):
        async def train(self, job: TrainingJob, log: TrainingLog) -> None:
            raise RuntimeError("no memory")

    async with served(trainers=[BrokenTrainer()]) as (_, client):
        failed = await tuned(client, model="slow")
        assert (failed.status, failed.error.code) == ("failed", "server_error")
        assert "no memory" in failed.error.message
        assert (await tuned(client)).status == "succeeded"
