"""Fine-tuning jobs of the language model through the server, as the openai package meets them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.local.language_model import NO_LLM

for name in ("torch", "gguf", "tokenizers", "llguidance", "safetensors"):
    pytest.importorskip(name, reason=NO_LLM)

import torch

from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.local.language_model import job_curve, trainer, weights
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.trainer import LanguageModel
from babyai_kit.local.player import OfflinePlayer
from tests.support.messages import RULES, until, user_text
from tests.support.project import ROOT

ENDED = ("succeeded", "failed", "cancelled")
# The tiny model has two layers; by default, fifteen stay as they are.
HYPERPARAMETERS = {"n_epochs": 8, "batch_size": 4, "frozen_layers": 1, "learning_rate_multiplier": 10}
STATE_EVERY_TIME = 0.0


def rows(count: int, action: str = "turn left") -> bytes:
    lines = []
    for number in range(count):
        pairs = [
            ("system", RULES),
            ("user", user_text("go to the red ball", f"a red ball {number} steps forward")),
            ("assistant", json.dumps({"action": action})),
        ]
        lines.append({"messages": [{"role": role, "content": text} for role, text in pairs]})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@asynccontextmanager
async def served(model: LanguageModel, folder: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        OfflinePlayer(trainers=[model], folder=folder) as player,
        openai.AsyncOpenAI(base_url=player.base_url, api_key="none", max_retries=0) as client,
    ):
        yield client


async def create(client: openai.AsyncOpenAI, content: bytes, **fields: Any) -> Any:
    file = await client.files.create(file=("train.jsonl", content), purpose="fine-tune")
    options = {"model": LANGUAGE_MODEL, "hyperparameters": HYPERPARAMETERS, "seed": 1, **fields}
    return await client.fine_tuning.jobs.create(training_file=file.id, **options)


async def ended(client: openai.AsyncOpenAI, job_id: str) -> Any:
    job = await client.fine_tuning.jobs.retrieve(job_id)
    while job.status not in ENDED:
        await asyncio.sleep(0.05)
        job = await client.fine_tuning.jobs.retrieve(job_id)
    return job


async def action(client: openai.AsyncOpenAI, model: str) -> str:
    text = user_text("go to the red ball", "a red ball 3 steps forward")
    schema = {"enum": [{"action": one} for one in ("turn left", "turn right", "go forward", "drop")]}
    completion = await client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": RULES}, {"role": "user", "content": text}],
        temperature=0,
        max_tokens=40,
        response_format={"type": "json_schema", "json_schema": {"name": "act", "schema": schema}},
    )
    return json.loads(completion.choices[0].message.content)["action"]


async def curve(client: openai.AsyncOpenAI, job: Any) -> list[dict[str, Any]]:
    events = [event async for event in client.fine_tuning.jobs.list_events(job.id)]
    return [event.data for event in reversed(events) if event.type == "metrics"]


def weights_in(folder: Path, job: Any) -> dict[str, torch.Tensor]:
    return dict(weights.load(folder / "jobs" / job.id / "model").tensors)


async def test_a_job_teaches_what_its_examples_show(tiny: Library, tmp_path: Path):
    folder = tmp_path / "player"
    async with served(LanguageModel(tiny), folder) as client:
        untuned = await action(client, LANGUAGE_MODEL)
        wanted = next(one for one in ("drop", "turn left") if one != untuned)
        validation = await client.files.create(file=("v.jsonl", rows(3, wanted)), purpose="fine-tune")
        job = await create(client, rows(40, wanted), validation_file=validation.id, suffix="act")
        job = await ended(client, job.id)
        assert (job.status, job.error) == ("succeeded", None)
        assert job.fine_tuned_model.startswith(f"ft:{LANGUAGE_MODEL}:offline:act:")
        assert await action(client, job.fine_tuned_model) == wanted
        assert await action(client, LANGUAGE_MODEL) == untuned
        metrics = await curve(client, job)
        assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
        assert metrics[-1]["valid_loss"] < metrics[0]["valid_loss"]
        assert "valid_mean_token_accuracy" in metrics[0]
        assert job_curve(job.id, tmp_path).to_dict("records") == metrics
        checkpoints = (await client.fine_tuning.jobs.checkpoints.list(job.id)).data
        assert len(checkpoints) == 2
        for checkpoint in checkpoints:
            assert await action(client, checkpoint.fine_tuned_model_checkpoint)
        # What was learned is where the next job starts.
        second = await create(client, rows(20, wanted), model=job.fine_tuned_model)
        second = await ended(client, second.id)
        assert (await curve(client, second))[0]["train_loss"] < metrics[0]["train_loss"]
        assert await action(client, second.fine_tuned_model) == wanted
        assert await action(client, job.fine_tuned_model) == wanted
    stored = weights_in(folder, job)
    assert all(name.startswith("model.layers.1.") or name == "model.norm.weight" for name in stored)
    assert not (folder / "jobs" / job.id / "state").exists()
    async with served(LanguageModel(tiny), folder) as client:
        assert await action(client, job.fine_tuned_model) == wanted


async def test_low_rank_updates_are_served_as_weights_and_so_are_their_checkpoints(
    tiny: Library, tmp_path: Path
):
    async with served(LanguageModel(tiny), tmp_path) as client:
        untuned = await action(client, LANGUAGE_MODEL)
        wanted = next(one for one in ("drop", "turn left") if one != untuned)
        given = HYPERPARAMETERS | {"lora_rank": 8, "n_epochs": 12, "frozen_layers": 0}
        method = {"type": "supervised", "supervised": {"hyperparameters": given}}
        job = await create(client, rows(40, wanted), method=method)
        job = await ended(client, job.id)
        assert job.status == "succeeded"
        for checkpoint in (await client.fine_tuning.jobs.checkpoints.list(job.id)).data:
            assert await action(client, checkpoint.fine_tuned_model_checkpoint)
        assert await action(client, job.fine_tuned_model) == wanted
    assert not any("norm" in name or "embed" in name for name in weights_in(tmp_path, job))


@pytest.mark.parametrize("rank", ["none", 4])
async def test_a_job_that_the_server_left_goes_on_and_ends_equal(
    tiny: Library, tmp_path: Path, rank: str | int
):
    chosen = HYPERPARAMETERS | {"lora_rank": rank}
    async with served(LanguageModel(tiny), tmp_path / "whole") as client:
        whole = await ended(client, (await create(client, rows(40), hyperparameters=chosen)).id)
        expected = await curve(client, whole)
    first = LanguageModel(tiny, state_interval_s=STATE_EVERY_TIME)
    async with served(first, tmp_path / "cut") as client:
        job = await create(client, rows(40), hyperparameters=chosen)
        state = tmp_path / "cut" / "jobs" / job.id / "state" / trainer.STATE_FILE
        await until(state.exists, seconds=120)
    assert state.exists()
    async with served(LanguageModel(tiny), tmp_path / "cut") as client:
        job = await ended(client, job.id)
        assert (job.status, job.trained_tokens) == ("succeeded", whole.trained_tokens)
        messages = [event.message async for event in client.fine_tuning.jobs.list_events(job.id)]
        assert any(message.startswith("Going on after step ") for message in messages)
        steps = [row["step"] for row in await curve(client, job)]
        assert {*steps} == {row["step"] for row in expected}
        assert len((await client.fine_tuning.jobs.checkpoints.list(job.id)).data) == 2
    one, other = weights_in(tmp_path / "whole", whole), weights_in(tmp_path / "cut", job)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


SERVER = """
import asyncio, sys
from pathlib import Path
import torch
from babyai_kit.local.language_model.gguf_file import GgufFile
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.trainer import LanguageModel
from babyai_kit.local.player.server import serve

base, folder = map(Path, sys.argv[1:])
model = LanguageModel(Library(GgufFile(base), dtype=torch.float32), state_interval_s=0)
asyncio.run(serve(0, trainers=[model], folder=folder, on_ready=lambda line: print(line, flush=True)))
"""


async def test_a_killed_server_goes_on_with_its_job_and_ends_equal(tiny: Library, tmp_path: Path):
    chosen = HYPERPARAMETERS | {"n_epochs": 10}
    async with served(LanguageModel(tiny), tmp_path / "whole") as client:
        whole = await ended(client, (await create(client, rows(40), hyperparameters=chosen)).id)
    folder = tmp_path / "killed"
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, tiny.base.path, folder, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout
        base_url = (await server.stdout.readline()).decode().split()[-1]
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none") as client:
            job = await create(client, rows(40), hyperparameters=chosen)
            state = folder / "jobs" / job.id / "state" / trainer.STATE_FILE
            await until(state.exists, seconds=120)
    finally:
        server.kill()
        await server.wait()
    assert state.exists()
    async with served(LanguageModel(tiny), folder) as client:
        job = await ended(client, job.id)
        assert (job.status, job.trained_tokens) == ("succeeded", whole.trained_tokens)
    one, other = weights_in(tmp_path / "whole", whole), weights_in(folder, job)
    assert all(torch.equal(one[name], other[name]) for name in one)


async def test_a_cancelled_job_stops_and_leaves_nothing_to_go_on_from(tiny: Library, tmp_path: Path):
    model = LanguageModel(tiny, state_interval_s=STATE_EVERY_TIME)
    async with served(model, tmp_path) as client:
        job = await create(client, rows(40), hyperparameters=HYPERPARAMETERS | {"n_epochs": 50})
        state = tmp_path / "jobs" / job.id / "state"
        await until(state.exists, seconds=120)
        assert (await client.fine_tuning.jobs.cancel(job.id)).status == "cancelled"
        await until(lambda: not state.exists(), seconds=120)
        assert await action(client, LANGUAGE_MODEL)
        other = await ended(client, (await create(client, rows(20))).id)
        assert other.status == "succeeded"
    assert not (tmp_path / "jobs" / job.id / "model" / weights.WEIGHTS_FILE).exists()


async def test_models_answer_while_a_job_runs(tiny: Library, tmp_path: Path):
    async with served(LanguageModel(tiny), tmp_path) as client:
        job = await create(client, rows(40), hyperparameters=HYPERPARAMETERS | {"n_epochs": 10})
        answers = [await action(client, LANGUAGE_MODEL) for _ in range(5)]
        assert len(set(answers)) == 1
        assert (await ended(client, job.id)).status == "succeeded"


async def test_a_model_that_is_deleted_ends_its_answers_and_leaves_the_memory(tiny: Library, tmp_path: Path):
    model = LanguageModel(tiny)
    async with served(model, tmp_path) as client:
        job = await ended(client, (await create(client, rows(12))).id)
        (checkpoint, _) = (await client.fine_tuning.jobs.checkpoints.list(job.id)).data
        folder = tmp_path / "jobs" / job.id / "model"
        step = folder / f"step-{checkpoint.step_number}"
        assert await action(client, checkpoint.fine_tuned_model_checkpoint)
        text = {"type": "json_schema", "json_schema": {"schema": {"type": "string", "minLength": 2000}}}
        stream = await client.chat.completions.create(
            model=job.fine_tuned_model,
            messages=[{"role": "user", "content": "hello"}],
            max_tokens=200,
            stream=True,
            response_format=text,
        )
        pieces = aiter(stream)
        await anext(pieces)
        assert {step, folder} <= {*model._shelf._ready}
        await client.models.delete(job.fine_tuned_model)
        assert [piece async for piece in pieces][-1].choices[0].finish_reason == "length"
        await until(lambda: step not in model._shelf._ready, seconds=60)
        with pytest.raises(openai.NotFoundError):
            await action(client, job.fine_tuned_model)
        assert await action(client, LANGUAGE_MODEL)
    assert not folder.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"frozen_layers": 30},
        {"frozen_layers": -1},
        {"lora_rank": 0},
        {"lora_rank": "many"},
        {"n_epochs": 51},
        {"learning_rate_multiplier": 0},
        {"nonsense": 1},
    ],
)
async def test_hyperparameters_out_of_range_make_no_job(tiny: Library, tmp_path: Path, wrong: dict[str, Any]):
    async with served(LanguageModel(tiny), tmp_path) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await create(client, rows(12), hyperparameters=wrong)
        assert raised.value.param == f"hyperparameters.{next(iter(wrong))}"
        assert (await client.fine_tuning.jobs.list()).data == []


LONG = {"messages": [{"role": "user", "content": "a " * 2000}, {"role": "assistant", "content": "b"}]}


async def test_examples_that_are_too_long_fail_the_job(tiny: Library, tmp_path: Path):
    content = (json.dumps(LONG) + "\n").encode() * 12
    async with served(LanguageModel(tiny), tmp_path) as client:
        job = await ended(client, (await create(client, content)).id)
        assert (job.status, job.error.param) == ("failed", "training_file")
        assert "1024 tokens" in job.error.message
        file = await client.files.create(file=("v.jsonl", content), purpose="fine-tune")
        job = await ended(client, (await create(client, rows(12), validation_file=file.id)).id)
        assert (job.status, job.error.param) == ("failed", "validation_file")
        assert job.error.code == "invalid_validation_file"


async def test_a_job_tells_of_the_examples_that_are_too_long(tiny: Library, tmp_path: Path):
    long = (json.dumps(LONG) + "\n").encode()
    async with served(LanguageModel(tiny), tmp_path) as client:
        file = await client.files.create(file=("v.jsonl", rows(2) + long), purpose="fine-tune")
        for content, told in (
            (rows(12), ["1 of 3 examples of the validation file"]),
            (
                rows(12) + long * 2,
                ["2 of 14 examples of the training file", "1 of 3 examples of the validation file"],
            ),
        ):
            job = await ended(client, (await create(client, content, validation_file=file.id)).id)
            assert job.status == "succeeded"
            events = [event async for event in client.fine_tuning.jobs.list_events(job.id)]
            messages = [event.message for event in reversed(events) if event.level == "warn"]
            assert [
                message.partition(" left out: longer than 1024 tokens")[0] for message in messages
            ] == told


async def test_weights_that_cannot_be_read_are_no_model_and_no_base(
    tiny: Library, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with served(LanguageModel(tiny), tmp_path) as client:
        job = await ended(client, (await create(client, rows(12))).id)
        (tmp_path / "jobs" / job.id / "model" / weights.WEIGHTS_FILE).write_bytes(b"damaged")
        with pytest.raises(openai.NotFoundError, match="fine-tune the model again") as raised:
            await action(client, job.fine_tuned_model)
        assert raised.value.code == "model_not_found"
        next_job = await ended(client, (await create(client, rows(12), model=job.fine_tuned_model)).id)
        assert (next_job.status, next_job.error.code) == ("failed", "model_not_available")
        assert await action(client, LANGUAGE_MODEL)
    assert "Traceback" not in caplog.text
