"""The small model learns from its own episodes: real gateway, real store, openai package, real weights."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest

from tests.local.learner import NO_TORCH

pytest.importorskip("torch", reason=NO_TORCH)

from babyai_kit import connect, finetune, run_experiment
from babyai_kit.configuration.models import LEARNER_MODEL
from babyai_kit.gateway.session import Session
from babyai_kit.local.learner.trainer import Learner
from babyai_kit.local.player import OfflinePlayer
from tests.support.project import CONFIG
from tests.support.tiny_model import TINY

pytestmark = pytest.mark.e2e

TASKS = ("goto", "pickup")
PLAN = {"tasks": TASKS, "history_length": 2, "progress": False, "max_concurrency": 64}


@pytest.fixture
def learner(tmp_path_factory: pytest.TempPathFactory) -> Learner:
    return Learner(tmp_path_factory.getbasetemp() / "learner", recipe=TINY, progress=False)


@pytest.mark.long
async def test_own_successes_help_on_unseen_seeds(
    data: Path, learner: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    async with OfflinePlayer(trainers=[learner], folder=tmp_path / "player") as player:
        monkeypatch.setenv("OPENAI_BASE_URL", player.base_url)
        monkeypatch.setenv("AGENT_MODEL", LEARNER_MODEL)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Session]:
            async with connect(env_file=None, config=config, data=data, quiet=True) as session:
                yield session

        async with opened() as session:
            await run_experiment(session, "own", ["history"], seeds=range(24), results=tmp_path, **PLAN)
            curation = await finetune.curate(
                session, "own", "history", max_per_task=None, drop_detours=True, results=tmp_path
            )
            export = finetune.export(curation, tmp_path / "files")
            await finetune.launch(session, export, seed=1, n_epochs=20, say=lambda line: None)
            job = await finetune.wait(session, export.folder, say=lambda line: None)
        assert job.outcome == "succeeded", job
        finetune.register_variant("history_sft", model=job.fine_tuned_model, like="history", config=config)
        async with opened() as session:
            gain = await finetune.evaluate(
                session,
                "gain",
                base="history",
                tuned="history_sft",
                seeds=range(1000, 1016),
                train=range(24),
                results=tmp_path,
                **PLAN,
            )
        async with openai.AsyncOpenAI(base_url=player.base_url, api_key="none") as client:
            events = await client.fine_tuning.jobs.list_events(job.job_id, limit=100)
            curve = [e.data for e in reversed(events.data) if e.type == "metrics"]
            checkpoints = await client.fine_tuning.jobs.checkpoints.list(job.job_id)
            listed = [model.id async for model in client.models.list()]
    print(gain)
    assert set(gain.episodes["status"]) == {"ok"}
    assert set(gain.episodes["model"]) == {LEARNER_MODEL, job.fine_tuned_model}
    assert gain.gain["low"] > 0, str(gain)
    assert curve[-1]["train_loss"] < curve[0]["train_loss"]
    assert {"valid_loss", "valid_mean_token_accuracy"} <= set(curve[-1])
    assert len(checkpoints.data) == 2
    assert {LEARNER_MODEL, job.fine_tuned_model} <= set(listed)
    tokens = gain.episodes[["input_tokens", "output_tokens"]].sum().sum()
    steps = gain.episodes["episode_length"].sum()
    assert 10 < tokens / steps < 40  # the model's own tokens, not those of the text
