"""The pretrained model learns from successes of random play: real weights, gateway, store and server."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from babyai_kit.local.language_model.base_file import missing
from tests.local.language_model import NO_LLM

if missing():
    pytest.skip(NO_LLM, allow_module_level=True)

from babyai_kit import connect, finetune
from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.environment import ACTIONS, make_env, needed_steps
from babyai_kit.local.language_model.trainer import LanguageModel
from babyai_kit.local.player import OfflinePlayer
from tests.local.language_model.test_trainer import ended
from tests.support.project import CONFIG

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TASK, TRAIN, TEST = "goto", range(120), range(1000, 1012)
EXAMPLES = 280
VARIANT, TUNED = "baseline", "baseline_sft"


def random_episode(seed: int, repeat: int) -> tuple[str, list[tuple[str, str]], bool]:
    """Mission, steps as (observation, action), and whether it succeeded."""
    env, rng = make_env(TASK), random.Random(f"{seed} {repeat}")
    observation, _ = env.reset(seed=seed)
    steps, over, reward = [], False, 0.0
    while not over:
        action = rng.choice(ACTIONS)
        steps.append((observation["text"], action))
        observation, reward, terminated, truncated, _ = env.step(ACTIONS.index(action))
        over = terminated or truncated
    return observation["mission"], steps, reward > 0


def successes() -> Iterator[dict[str, Any]]:
    """The needed steps of the shortest success from each start, as lines of a training file."""
    system = (CONFIG / "functions/act/system.minijinja").read_text().rstrip("\n")
    for seed in TRAIN:
        found = []
        for repeat in range(6):
            mission, steps, success = random_episode(seed, repeat)
            if success:
                needed = needed_steps(TASK, seed, [action for _, action in steps])
                found.append([step for step, keep in zip(steps, needed, strict=True) if keep])
        for observation, action in min(found, key=len, default=[]):
            turns = [
                ("system", system),
                ("user", f"Mission: {mission}\n\nCurrent observation:\n{observation}"),
                ("assistant", json.dumps({"action": action})),
            ]
            yield {"messages": [{"role": role, "content": text} for role, text in turns]}


async def test_random_successes_help_on_unseen_seeds(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    toml = config / "tensorzero.toml"
    # Untuned, it would hardly ever answer in the form that is asked for.
    toml.write_text(toml.read_text().replace('json_mode = "on"', 'json_mode = "strict"'))
    rows = list(successes())[:EXAMPLES]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    async with (
        OfflinePlayer(trainers=[LanguageModel()], folder=tmp_path / "player") as player,
        openai.AsyncOpenAI(base_url=player.base_url, api_key="none") as client,
    ):
        file = await client.files.create(file=("random.jsonl", content), purpose="fine-tune")
        job = await client.fine_tuning.jobs.create(
            model=LANGUAGE_MODEL,
            training_file=file.id,
            seed=1,
            hyperparameters={"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 1.5},
        )
        job = await ended(client, job.id)
        assert job.status == "succeeded", job.error
        monkeypatch.setenv("OPENAI_BASE_URL", player.base_url)
        monkeypatch.setenv("AGENT_MODEL", LANGUAGE_MODEL)
        finetune.register_variant(TUNED, model=job.fine_tuned_model, like=VARIANT, config=config)
        async with connect(env_file=None, config=config, data=data, quiet=True) as session:
            gain = await finetune.evaluate(
                session,
                "learned",
                base=VARIANT,
                tuned=TUNED,
                tasks=[TASK],
                seeds=TEST,
                train=TRAIN,
                temperature=0.7,
                results=tmp_path,
                progress=False,
            )
    print(len(rows), gain)
    assert set(gain.episodes["status"]) == {"ok"}
    assert set(gain.episodes["model"]) == {LANGUAGE_MODEL, job.fine_tuned_model}
    assert gain.episodes["invalid_actions"].sum() == 0
    assert gain.gain["low"] > 0, str(gain)
