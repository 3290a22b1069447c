"""The pretrained model learns from successes of random play: real weights, gateway, store and server."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from babyai_kit.local.language_model.base_file import missing
from tests.local.language_model import NO_LLM, NO_LLM_TESTS

if missing():
    pytest.skip(NO_LLM, allow_module_level=True)

from babyai_kit import connect, finetune
from babyai_kit.__main__ import main
from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.environment import ACTIONS, make_env, needed_steps
from babyai_kit.local.language_model.generator import Generator
from babyai_kit.local.language_model.gguf_export import NumberFormat
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.trainer import LanguageModel
from babyai_kit.local.player import OfflinePlayer
from tests.local.language_model.test_trainer import ended
from tests.support.generations import answered, generation
from tests.support.llama_cpp import LlamaCpp
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


def prompt(mission: str, observation: str) -> list[tuple[str, str]]:
    """As the variant `baseline` asks."""
    system = (CONFIG / "functions/act/system.minijinja").read_text().rstrip("\n")
    return [("system", system), ("user", f"Mission: {mission}\n\nCurrent observation:\n{observation}")]


def successes() -> Iterator[dict[str, Any]]:
    """The needed steps of the shortest success from each start, as lines of a training file."""
    for seed in TRAIN:
        found = []
        for repeat in range(6):
            mission, steps, success = random_episode(seed, repeat)
            if success:
                needed = needed_steps(TASK, seed, [action for _, action in steps])
                found.append([step for step, keep in zip(steps, needed, strict=True) if keep])
        for observation, action in min(found, key=len, default=[]):
            turns = [*prompt(mission, observation), ("assistant", json.dumps({"action": action}))]
            yield {"messages": [{"role": role, "content": text} for role, text in turns]}


@dataclass(frozen=True)
class Learned:
    model: str
    player: Path
    """Folder of the server that trained it."""
    weights: Path


@pytest.fixture(scope="module")
def learned(served: Library, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """What a job made of the base model."""
    folder = tmp_path_factory.mktemp("learned")
    content = "".join(json.dumps(row) + "\n" for row in list(successes())[:EXAMPLES]).encode()

    async def job() -> Any:
        async with (
            OfflinePlayer(trainers=[LanguageModel(served)], folder=folder) as player,
            openai.AsyncOpenAI(base_url=player.base_url, api_key="none") as client,
        ):
            file = await client.files.create(file=("random.jsonl", content), purpose="fine-tune")
            job = await client.fine_tuning.jobs.create(
                model=LANGUAGE_MODEL,
                training_file=file.id,
                seed=1,
                hyperparameters={"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 1.5},
            )
            return await ended(client, job.id)

    done = asyncio.run(job())
    assert done.status == "succeeded", done.error
    return Learned(done.fine_tuned_model, folder, folder / "jobs" / done.id / "model")


async def test_random_successes_help_on_unseen_seeds(
    served: Library, learned: Learned, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    toml = config / "tensorzero.toml"
    # Untuned, it would hardly ever answer in the form that is asked for.
    toml.write_text(toml.read_text().replace('json_mode = "on"', 'json_mode = "strict"'))
    async with OfflinePlayer(trainers=[LanguageModel(served)], folder=learned.player) as player:
        monkeypatch.setenv("OPENAI_BASE_URL", player.base_url)
        monkeypatch.setenv("AGENT_MODEL", LANGUAGE_MODEL)
        finetune.register_variant(TUNED, model=learned.model, like=VARIANT, config=config)
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
    print(gain)
    assert set(gain.episodes["status"]) == {"ok"}
    assert set(gain.episodes["model"]) == {LANGUAGE_MODEL, learned.model}
    assert gain.episodes["invalid_actions"].sum() == 0
    assert gain.gain["low"] > 0, str(gain)


def views(count: int) -> Iterator[list[tuple[str, str]]]:
    """Questions of the game: after a few steps at random, each on a test seed of its own."""
    rng = random.Random(3)
    for seed in range(TEST.start, TEST.start + count):
        env = make_env(TASK)
        observation, _ = env.reset(seed=seed)
        for _ in range(seed % 5):
            after, _, terminated, _, _ = env.step(rng.randrange(3))
            if terminated:
                break
            observation = after
        yield prompt(observation["mission"], observation["text"])


@pytest.mark.parametrize(
    ("number_format", "count"),
    [
        ("f16", 6),
        pytest.param("f16", 50, marks=pytest.mark.long),
        pytest.param("q8_0", 50, marks=pytest.mark.long),
    ],
)
def test_its_export_plays_the_same_actions_in_llama_cpp(
    real: Library, learned: Learned, tmp_path: Path, number_format: NumberFormat, count: int
):
    """Greedily; other ones only where the kit has them nearly as likely."""
    pytest.importorskip("xllamacpp", reason=NO_LLM_TESTS)
    path, tokenizer = tmp_path / "act.gguf", real.tokenizer
    command = ["finetune", "export-gguf", learned.model, "--format", number_format]
    assert main([*command, "--folder", str(learned.player), "--output", str(path)]) == 0
    llama_cpp = LlamaCpp(path, number_format, cache_prompt=True)

    chats = list(views(count))
    options = {"ends": tokenizer.ends, "top_logprobs": 5}
    generations = [generation(tokenizer.encode_chat(chat), **options) for chat in chats]
    others, actions = 0, set()
    for one, chat in zip(answered(Generator(real.open(learned.weights)), generations), chats, strict=True):
        text = llama_cpp.chat(chat, one.max_tokens)
        actions.add(json.loads(text)["action"])
        if text == tokenizer.decode(one.answer):
            continue
        others += 1
        tokens = zip(one.scores, tokenizer.encode(text), strict=False)
        score, token = next((score, token) for score, token in tokens if score.token != token)
        assert dict(score.top)[token] > score.logprob - llama_cpp.rounding
    print(f"{number_format}: {others} of {count} actions are others")
    assert actions <= {*ACTIONS}
    assert len(actions) > 1 or count < 50
    assert others <= count * (0.1 if number_format == "f16" else 0.5)
