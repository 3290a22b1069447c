"""Runs on disk, written by the kit's own episode and journal from answers that a test gives."""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babyai_kit.agents.interface import Move
from babyai_kit.agents.template_agent import decide
from babyai_kit.configuration.dialects import Dialect
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment import ACTIONS, expert_actions, make_env
from babyai_kit.environment.distances import steps_to_face
from babyai_kit.errors import ModelError, ServiceError
from babyai_kit.experiment.asking import call_record
from babyai_kit.experiment.live_episode import LiveEpisode, PlannedEpisode
from babyai_kit.gateway.protocol import Answer
from babyai_kit.runs.journal import Journal, read_manifest
from babyai_kit.runs.manifest import manifest_for
from babyai_kit.runs.plan import Sampling, make_plan
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord, StepRecord
from tests.support.project import CONFIG

_NUMBERS = itertools.count()

SLOW = ModelError("slow", kind="timeout", retryable=True)


@dataclass(frozen=True)
class Reply:
    """One answer of a model. `action` outside ACTIONS, or `raw` that is no JSON, is invalid."""

    action: str = "turn left"
    thinking: str | None = None
    raw: str | None = None

    def answer(self) -> Answer:
        parsed = {"action": self.action} | ({"thinking": self.thinking} if self.thinking is not None else {})
        number = f"inference-{next(_NUMBERS)}"
        if self.raw is not None:
            return Answer(self.raw, None, 100, 10, None, number, call_s=0.5)
        return Answer(json.dumps(parsed), parsed, 100, 10, None, number, call_s=0.5)


Policy = Callable[[Any, str], Iterator[str | Reply]]
"""policy(env, mission): an answer for each step; when it ends before the episode, the rest is `turn left`."""


@dataclass(frozen=True)
class Episode:
    steps: list[StepRecord]
    record: EpisodeRecord | None


def play(
    policy: Policy | Iterable[str | Reply],
    *,
    task: str = "goto",
    seed: int = 0,
    variant: str = "baseline",
    model: str = "offline-player",
    num_dists: int = 0,
    repeat: int = 0,
    history_length: int = 8,
    run: str = "r",
    error: ServiceError | None = None,
    stop_after: int | None = None,
) -> Episode:
    """An episode as the runner would record it.

    `error`: it ends with this after the policy's answers; `stop_after`: it is left unfinished there.
    """
    prompt = load_config(CONFIG, Settings()).variants[variant]
    length = history_length if prompt.shows_history else 0
    key = EpisodeKey(run, variant, model, task, num_dists, seed, repeat, length)
    live = LiveEpisode(PlannedEpisode(key, prompt.digest, f"episode-{next(_NUMBERS)}"))
    answers = iter(policy(live.env, live.mission) if callable(policy) else policy)
    while not live.done and (stop_after is None or len(live.steps) < stop_after):
        reply = next(answers, None)
        if reply is None and error is not None:
            return Episode(live.steps, live.summary(error))
        if not isinstance(reply, Reply):
            reply = Reply() if reply is None else Reply(reply)
        take(live, reply.answer())
    return Episode(live.steps, None if stop_after is not None and not live.done else live.summary(error))


def take(live: LiveEpisode, answer: Answer) -> StepRecord:
    """The step that the agent of a variant of `config/` takes after `answer`."""
    planned, decision = live.planned, decide(answer.parsed)
    call = call_record(
        planned.key,
        answer,
        variant_digest=planned.variant_digest,
        episode_id=planned.episode_id,
        step=len(live.steps),
    )
    return live.take(Move(decision.action if decision.valid else "", decision.thinking), [call])


def write_run(
    results: Path, episodes: Iterable[Episode], name: str = "r", *, model: str = "offline-player", **plan: Any
) -> Path:
    """Write the episodes as run `name`; the plan defaults to exactly what they are."""
    episodes = list(episodes)
    keys = [e.steps[0].key if e.steps else e.record.key for e in episodes]
    fields: dict[str, Any] = {
        "variants": list(dict.fromkeys(k.variant for k in keys)) or ["baseline"],
        "tasks": list(dict.fromkeys(k.task for k in keys)) or ["goto"],
        "seeds": sorted({k.seed for k in keys}) or [0],
        "num_dists": keys[0].num_dists if keys else 0,
        "repeats": 1 + max((k.repeat for k in keys), default=0),
    } | plan
    settings = replace(Settings(), model=model)
    config = load_config(CONFIG, settings)
    with Journal(results / name) as journal:
        whole_plan = make_plan(config, run=name, **fields)
        manifest = manifest_for(None, whole_plan, Sampling(), config, settings)
        journal.write_manifest(manifest.asked_in({manifest.model: Dialect()}, config))
        for episode in episodes:
            for step in episode.steps:
                journal.append(replace(step, run=name))
            if episode.record:
                journal.append(replace(episode.record, run=name))
    return results / name


def rename_model(folder: Path, old: str, new: str) -> None:
    """Put the name `new`, which no plan would take, into the files of a run, as somebody else may have."""
    for name in ("run.json", "steps.jsonl", "episodes.jsonl"):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace(json.dumps(old), json.dumps(new)), encoding="utf-8")


def add_plan(results: Path, name: str = "r", *, model: str = "offline-player", **plan: Any) -> None:
    """Give run `name` another plan, as a later command does."""
    settings = replace(Settings(), model=model)
    config = load_config(CONFIG, settings)
    with Journal(results / name) as journal:
        later = make_plan(config, run=name, **plan)
        manifest = manifest_for(read_manifest(results / name), later, Sampling(), config, settings)
        journal.write_manifest(manifest.asked_in({manifest.model: Dialect()}, config))


def expert(env: Any, mission: str) -> Iterator[str]:
    """Reaches the goal."""
    for action in expert_actions(env):
        yield ACTIONS[action]


def idle(env: Any, mission: str) -> Iterator[str]:
    """Turns left for ever."""
    return iter(())


def walk_to(env: Any, name: str) -> Iterator[str]:
    """Walks until the object called `name` ("red key") is in front; the way must be free."""
    (obj,) = (o for o in env.objects if f"{o.color} {o.type}" == name)
    width = env.grid.width
    left = env.agent_pos[0] // 7 * 7
    steps = steps_to_face(width, left, obj.cur_pos[1] * width + obj.cur_pos[0])

    def pose() -> int:
        x, y = env.agent_pos
        return 4 * (y * width + x) + env.agent_dir

    while (now := steps[pose()]) > 0:
        cell, facing = divmod(pose(), 4)
        ahead = 4 * (cell + (1, width, -1, -width)[facing]) + facing
        ways = {
            "go forward": steps[ahead] if env.grid.get(*env.front_pos) is None else now,
            "turn left": steps[4 * cell + (facing + 3) % 4],
            "turn right": steps[4 * cell + (facing + 1) % 4],
        }
        yield next(action for action, left_over in ways.items() if left_over == now - 1)


def wander(avoid: str = "") -> Policy:
    """Does in each place what it has done least there; touches nothing, and sees nothing called `avoid`."""

    def policy(env: Any, mission: str) -> Iterator[str]:
        done: Counter[Any] = Counter()
        while True:
            fit = []
            for action in ("go forward", "pick up", "toggle", "drop", "turn right", "turn left"):
                if action in ("pick up", "toggle") and env.grid.get(*env.front_pos) is not None:
                    continue
                copied = copy.deepcopy(env)
                seen, reward, *_ = copied.step(ACTIONS.index(action))
                if reward == 0 and not (avoid and avoid in seen["text"]):
                    fit.append(action)
            pose = (env.agent_pos, env.agent_dir)
            action = min(fit, key=lambda action: done[pose, action])
            done[pose, action] += 1
            yield action

    return policy


def start(task: str, seed: int, num_dists: int = 0) -> Any:
    """The environment as it begins."""
    env = make_env(task, num_dists=num_dists)
    env.reset(seed=seed)
    return env


def seed_where(task: str, fits: Callable[[Any], bool], num_dists: int = 0) -> int:
    """The first seed whose start fits."""
    return next(seed for seed in range(1000) if fits(start(task, seed, num_dists)))


def as_format_3(manifest: dict[str, Any]) -> dict[str, Any]:
    """The content of a run.json as it was before plans had models."""
    old = {name: value for name, value in manifest.items() if name != "own_models"}
    digests = {variant: next(iter(of.values())) for variant, of in manifest["digests"].items()}
    models = {variant: next(iter(of)) for variant, of in manifest["digests"].items()}
    plans = [{k: v for k, v in plan.items() if k != "models"} for plan in manifest["plans"]]
    return old | {"format": 3, "digests": digests, "models": models, "plan": plans[-1], "plans": plans}
