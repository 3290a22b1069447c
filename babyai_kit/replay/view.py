"""An episode as data for pages: its world, its steps, how it ended and what went wrong.

All texts are `visible`; what is not known is None. One pass over the states of the episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from babyai_kit.errors import KitError
from babyai_kit.failures import CLASSES, classify
from babyai_kit.failures.classes import LABELS
from babyai_kit.failures.facts import Observer
from babyai_kit.hostile_text import visible
from babyai_kit.replay.captions import model_note, outcome_text
from babyai_kit.replay.ways import shortest_way
from babyai_kit.replay.world import WorldRecorder
from babyai_kit.runs.answers import invalid_reason
from babyai_kit.runs.records import StepRecord
from babyai_kit.runs.trajectories import Trajectory

View = dict[str, Any]
"""JSON: run, id, agent, model, task, distractors, seed, repeat, history, outcome, outcomeText, mission,
maxSteps, shortest, note, error; failure: {name, label, text} of a failed episode; fatal: the step, from 0,
after which it could not succeed; world: see `world.WorldData`; way: see `ways.Way`; steps: a list of
{observation, thinking, answer, action, valid, reason, reward, inputTokens, outputTokens, cachedTokens,
reasoningTokens, cost, seconds, calls, finishReason, repeats}; lastObservation; notReplayed: why there is no
world, then the steps are there all the same."""


def episode_view(trajectory: Trajectory, *, way: bool = True) -> View:
    """The data of `trajectory`, also of one that does not replay. `way`: with a shortest way, which takes
    longer than all else."""
    try:
        return replayed_view(trajectory, way=way)
    except KitError as error:
        return _recorded(trajectory, [None] * len(trajectory.steps)) | {"notReplayed": visible(str(error))}


def replayed_view(trajectory: Trajectory, *, way: bool = True) -> View:
    """Likewise. Raises JournalError for a trajectory that does not replay."""
    world, observer = WorldRecorder(), Observer()
    for env, step in trajectory.states():
        world.add(env)
        observer.add(env, step)
    facts = observer.facts() if trajectory.outcome == "failure" else None
    view = _recorded(trajectory, observer.repeats)
    found = shortest_way(trajectory) if way else None
    if view["shortest"] is None and found and found["kind"] == "shortest":
        view["shortest"] = len(found["actions"])
    return view | {
        "failure": None if facts is None else failure_class(classify(facts)),
        "fatal": None if facts is None else facts.fatal_step,
        "mission": env.mission,
        "maxSteps": env.max_steps,
        "world": world.data,
        "way": found,
        "lastObservation": env.gen_obs()["text"],
    }


def _recorded(trajectory: Trajectory, repeats: Sequence[int | None]) -> View:
    """What is known of `trajectory` without its world. `repeats`: the earlier step that each step repeats."""
    key, record = trajectory.key, trajectory.record
    return {
        "run": visible(key.run),
        "id": visible(trajectory.episode_id),
        "agent": visible(key.variant),
        "model": visible(key.model),
        "task": visible(key.task),
        "distractors": key.num_dists,
        "seed": key.seed,
        "repeat": key.repeat,
        "history": key.history_length,
        "outcome": trajectory.outcome,
        "outcomeText": outcome_text(trajectory),
        "failure": None,
        "error": visible(record.error) if record and record.error else None,
        "mission": "",
        "maxSteps": record.max_steps if record else None,
        "shortest": record.shortest_length if record else None,
        "fatal": None,
        "note": model_note(trajectory),
        "notReplayed": None,
        "world": None,
        "way": None,
        "steps": [_step(step, first) for step, first in zip(trajectory.steps, repeats, strict=True)],
        "lastObservation": "",
    }


def failure_class(name: str) -> dict[str, str]:
    """A class of failure as pages show it."""
    return {"name": name, "label": LABELS[name], "text": CLASSES[name].__doc__ or ""}


def _step(step: StepRecord, first: int | None) -> dict[str, Any]:
    """`first`: the earlier step that this one repeats."""
    return {
        "observation": visible(step.observation),
        "thinking": None if step.thinking is None else visible(step.thinking),
        "answer": None if step.answer is None else visible(step.answer),
        "action": visible(step.action),
        "valid": step.valid,
        "reason": invalid_reason(step),
        "reward": step.reward,
        "inputTokens": step.input_tokens,
        "outputTokens": step.output_tokens,
        "cachedTokens": step.cached_tokens,
        "reasoningTokens": step.reasoning_tokens,
        "cost": step.cost_usd,
        "seconds": step.call_s,
        "calls": step.calls,
        "finishReason": None if step.finish_reason is None else visible(step.finish_reason),
        "repeats": first,
    }
