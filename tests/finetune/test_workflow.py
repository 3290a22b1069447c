"""The gateway's optimization workflow, as the kit launches it and as the form of TensorZero's UI does. Its
upload goes to OpenAI alone but for an internal variable of TensorZero, set in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import openai
import pytest

from babyai_kit import finetune, run_experiment
from babyai_kit.configuration.models import LANGUAGE_MODEL, OFFLINE_MODEL
from babyai_kit.errors import InputError
from babyai_kit.local.language_model.base_file import missing
from babyai_kit.local.player import OfflinePlayer
from tests.finetune.conftest import Open
from tests.local.language_model import NO_LLM
from tests.support.project import CONFIG, ROOT

pytestmark = pytest.mark.e2e

SCRIPT = """
import asyncio, os, sys
from babyai_kit import connect, finetune
from babyai_kit.errors import ModelError

async def main(config, data, results, folder):
    async with connect(env_file=None, config=config, data=data, quiet=True) as session:
        # The first is refused, since nobody has the model; the third finds the job of the second.
        for model in ("gpt-4.1-mini-2025-04-14", None, None):
            curation = await finetune.curate(session, "collect", "baseline", max_per_task=4, results=results)
            try:
                job = await finetune.launch_workflow(
                    session, curation, folder, model=model, n_epochs=1
                )
            except ModelError as error:
                print("Refused:", error)
        print(await finetune.wait(finetune.Server(job.base_url, "sk-x"), folder))
        curation = await finetune.curate(session, "talk", "dialogue", results=results)
        await finetune.launch_workflow(session, curation, folder + "-dialogue", n_epochs=1)

asyncio.run(main(*sys.argv[1:]))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.long
async def test_the_workflow_uploads_what_was_curated(
    open_offline: Open, collected: Path, data: Path, tmp_path: Path
):
    async with open_offline() as session:
        curation = await finetune.curate(session, "collect", "baseline", max_per_task=4, results=collected)
        plan = {"tasks": ["goto"], "seeds": range(5), "history_length": 4}
        await run_experiment(session, "talk", ["dialogue"], **plan, results=collected, progress=False)
        dialogues = await finetune.curate(session, "talk", "dialogue", results=collected)

    async with OfflinePlayer(aliases=["gpt-4o-mini-2024-07-18"]) as player:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SCRIPT, CONFIG, data, collected, tmp_path / "job"),
            cwd=ROOT,
            env=os.environ
            | {
                "OPENAI_API_KEY": "sk-x",
                "AGENT_MODEL": "gpt-4o-mini-2024-07-18",
                "TENSORZERO_INTERNAL_MOCK_PROVIDER_API": f"http://127.0.0.1:{player.port}/",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await asyncio.wait_for(process.communicate(), 240))[0].decode()
        assert process.returncode == 0, output
        async with openai.AsyncOpenAI(base_url=player.base_url, api_key="k") as client:
            uploads = (await client.files.list(purpose="fine-tune")).data
            assert len(uploads) == 3, output
            texts = [(await client.files.content(upload.id)).text for upload in uploads]
        files = [[json.loads(line) for line in text.splitlines()] for text in texts]

    assert "succeeded, ft:gpt-4o-mini-2024-07-18:offline:act:" in output
    assert output.count("Already launched") == 1
    assert "Refused: OpenAI did not create the job, and the gateway hides why; launch without" in output

    def messages(row: dict) -> tuple:
        return tuple((m["role"], m["content"]) for m in row["messages"])

    longest = {max(len(row["messages"]) for row in rows): rows for rows in files}
    for rows, of in ((longest[3], curation), (longest[11], dialogues)):
        ours = sorted((*e.prompt, ("assistant", e.answer)) for e in of.examples)
        assert sorted(map(messages, rows)) == ours
        assert len(ours) > 20
    assert {len(e.prompt) for e in dialogues.examples} == {2, 4, 6, 8, 10}


FORM = """
import asyncio, json, os, sys
import tomlkit
from tensorzero import InferenceFilterBooleanMetric, OpenAISFTConfig, OptimizationJobStatus
from babyai_kit import connect, finetune, run_experiment
from babyai_kit.configuration.settings import load_settings

def say(kind, **fields):
    print("SAID", json.dumps({"kind": kind, **fields}))

def as_toml(fields):  # the form leaves out what is null
    filled = {key: value for key, value in fields.items() if value is not None}
    return {key: as_toml(value) if isinstance(value, dict) else value for key, value in filled.items()}

async def main(config, data, collected, results, model):
    session = lambda: connect(env_file=None, config=config, data=data, quiet=True)
    async with session() as first:
        curation = await finetune.curate(first, "collect", "baseline", max_per_task=2, results=collected)
        client = first.gateway._client  # the form talks to the gateway itself
        job = await client.experimental_launch_optimization_workflow(
            function_name="act",
            template_variant_name="baseline",
            filters=InferenceFilterBooleanMetric(metric_name="curated", value=True),
            output_source="inference",
            val_fraction=0.2,
            optimizer_config=OpenAISFTConfig(model=model),
        )
        while True:
            info = await client.experimental_poll_optimization(job_handle=job)
            if info.status != OptimizationJobStatus.Pending:
                break
            await asyncio.sleep(0.2)
        del client
        output = info.output["content"]
        name = output["routing"][0]
        say("trained", status=str(info.status), model=name)
    snippet = tomlkit.dumps({"models": {name: as_toml(output)}})
    settings = load_settings(None)
    finetune.register_variant("tuned", snippet=snippet, like="baseline", config=config, settings=settings)
    async with session() as second:
        episodes = await run_experiment(
            second, "after", ["tuned"], ["goto"], [200, 201], results=results, progress=False
        )
        say("played", status=list(episodes["status"]), model=list(episodes["model"]))

asyncio.run(main(*sys.argv[1:]))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", [OFFLINE_MODEL, pytest.param(LANGUAGE_MODEL, marks=pytest.mark.long)])
async def test_what_the_uis_form_launches_is_trained_and_served_here(
    data: Path, collected: Path, config: Path, tmp_path: Path, model: str
):
    """With the gateway's internal variable and no key, as in Compose's profile for it."""
    trainers = []
    if model == LANGUAGE_MODEL:
        if missing():
            pytest.skip(NO_LLM)
        from babyai_kit.local.language_model.trainer import LanguageModel

        trainers.append(LanguageModel())
    async with OfflinePlayer(trainers=trainers, folder=tmp_path / "player") as player:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", FORM, config, data, collected, tmp_path, model),
            cwd=ROOT,
            env=os.environ
            | {
                "OPENAI_API_KEY": "",
                "OPENAI_BASE_URL": "http://127.0.0.1:9/v1/",  # nobody: api_base no longer counts
                "AGENT_MODEL": model,
                "TENSORZERO_INTERNAL_MOCK_PROVIDER_API": f"http://127.0.0.1:{player.port}/",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await asyncio.wait_for(process.communicate(), 1700))[0].decode()
        assert process.returncode == 0, output
        trained, played = (json.loads(line[5:]) for line in output.splitlines() if line.startswith("SAID "))
        async with openai.AsyncOpenAI(base_url=player.base_url, api_key="k") as client:
            (job,) = (await client.fine_tuning.jobs.list()).data
            rows = (await client.files.content(job.training_file)).text.splitlines()
        answers = player.stats.answers
    assert (trained["status"], job.status, job.model) == ("Completed", "succeeded", model)
    assert trained["model"] == job.fine_tuned_model
    assert job.validation_file is not None
    assert len(rows) > 50
    assert played == {"kind": "played", "status": ["ok", "ok"], "model": [job.fine_tuned_model] * 2}
    assert job.fine_tuned_model in player.models
    assert answers > 10


async def test_without_openai_the_workflow_is_refused_before_it_writes(
    open_offline: Open, collected: Path, tmp_path: Path
):
    async with open_offline() as session:
        curation = await finetune.curate(session, "collect", "baseline", max_per_task=4, results=collected)
        with pytest.raises(InputError, match="fine-tunes at OpenAI only"):
            await finetune.launch_workflow(session, curation, tmp_path / "job")
    assert not (tmp_path / "job").exists()
