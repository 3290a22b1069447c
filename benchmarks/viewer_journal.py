"""A large run for benchmarks: real episodes of random actions, written as fast as their lines can be made.

All agents of the run play alike, so every level is played once. Fifty episodes are under way at a time, as in
a run, so that their steps lie among those of others.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from babyai_kit.configuration.dialects import Dialect
from babyai_kit.configuration.project import PROJECT_CONFIG
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment import ACTIONS, shortest_length
from babyai_kit.environment.playback import Playback
from babyai_kit.runs.journal import EPISODES, MANIFEST, STEPS
from babyai_kit.runs.manifest import manifest_for
from babyai_kit.runs.plan import Sampling, make_plan
from babyai_kit.runs.records import EpisodeKey, StepRecord, summarize

MODEL = "offline-player"
UNDER_WAY = 50
INVALID = 0.03
"""Share of invalid answers, after which the agent goes forward."""
THOUGHTS = (
    "I see the object that the mission names, but something stands in the way, so I turn first.",
    "There is nothing of use in view; I look around before I go anywhere else in this room.",
    "The door is two steps ahead. I go forward until I face it, then I can open it and look behind it.",
    "I have been here before and turned left, which did not help, so this time I turn right instead.",
)

Line = tuple[str, bytes]
"""File and line."""


def write_large_run(results: Path, name: str, *, seeds: int) -> Path:
    """Run `name` of four agents, five tasks and so many seeds; one that is there already is kept."""
    folder = results / name
    if (folder / MANIFEST).exists():
        return folder
    part = results / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    settings = replace(Settings(), model=MODEL)
    config = load_config(PROJECT_CONFIG, settings)
    plan = make_plan(config, run=name, seeds=range(seeds))
    manifest = manifest_for(None, plan, Sampling(), config, settings).asked_in({MODEL: Dialect()}, config)
    waiting = iter(plan.keys(manifest.own_models, without_history=manifest.without_history))
    under_way: list[Iterator[Line]] = []
    files = {name: (part / name).open("wb") for name in (STEPS, EPISODES)}
    while True:
        under_way += [
            _lines(key, manifest.digests[key.variant][key.model])
            for _, key in zip(range(UNDER_WAY - len(under_way)), waiting, strict=False)
        ]
        if not under_way:
            break
        lines = [(episode, next(episode, None)) for episode in under_way]
        under_way = [episode for episode, line in lines if line]
        for file, line in filter(None, (line for _, line in lines)):
            files[file].write(line)
    for file in files.values():
        file.close()
    (part / MANIFEST).write_text(json.dumps(manifest.as_json(), indent=2) + "\n")
    part.rename(folder)
    return folder


def _lines(key: EpisodeKey, digest: str) -> Iterator[Line]:
    """The lines of one episode."""
    episode_id = f"{key.variant}-{key.task}-{key.seed}"
    max_steps, shortest, played = _played(key.task, key.seed)
    steps = [
        StepRecord(
            **vars(key),
            variant_digest=digest,
            episode_id=episode_id,
            step=number,
            observation=observation,
            answer=json.dumps({"action": action}) if valid else "I would rather not say.",
            thinking=THOUGHTS[number % len(THOUGHTS)],
            action=action,
            valid=valid,
            reward=reward,
            input_tokens=300 + number,
            output_tokens=20,
            cost_usd=None,
            call_s=0.5,
            inference_id=f"{episode_id}-{number}",
        )
        for number, (observation, action, valid, reward) in enumerate(played)
    ]
    for step in steps:
        yield STEPS, _line(vars(step))
    row = summarize(key, digest, episode_id, steps, max_steps=max_steps, shortest_length=shortest)
    yield EPISODES, _line(vars(row))


@lru_cache(maxsize=1000)
def _played(task: str, seed: int) -> tuple[int, int, list[tuple[str, str, bool, float]]]:
    """(limit of steps, shortest length, observation, action, validity and reward of every step)."""
    dice, playback = random.Random(f"{task} {seed}"), Playback(task, seed=seed)
    shortest = shortest_length(playback.env)
    played = []
    while not playback.done:
        observation, valid = playback.observation, dice.random() >= INVALID
        action = dice.choice(ACTIONS) if valid else "go forward"
        played.append((observation, action, valid, playback.step(action)))
    return playback.env.max_steps, shortest, played


def _line(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
