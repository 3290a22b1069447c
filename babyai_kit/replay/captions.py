"""What replays say about an episode, beside its pictures."""

from __future__ import annotations

from babyai_kit.configuration.models import is_offline_player
from babyai_kit.failures import CLASSES, classify, observe
from babyai_kit.failures.classes import LABELS
from babyai_kit.hostile_text import visible
from babyai_kit.runs.trajectories import Trajectory


def about(trajectory: Trajectory) -> str:
    """One line: which episode this is."""
    key = trajectory.key
    parts = [key.variant, f"{key.task}, seed {key.seed}"]
    parts += [f"repeat {key.repeat}"] * bool(key.repeat) + [f"{key.num_dists} distractors"] * bool(
        key.num_dists
    )
    return visible(" · ".join([*parts, f"model {key.model}", f"run {key.run}"]))


def not_llm(trajectory: Trajectory) -> str:
    """What must be said of the offline player's episodes; empty for others."""
    return "Offline player: not an LLM" if is_offline_player(trajectory.key.model) else ""


def ending(trajectory: Trajectory) -> str:
    """How the episode ended, after its last step."""
    record, steps = trajectory.record, _count(len(trajectory.steps))
    if record is None:
        return f"Unfinished: {steps} so far"
    if record.status != "ok":
        return f"Broken off after {steps} by an error, not by the agent"
    if record.success:
        shortest = f"; the shortest way takes {record.shortest_length}" if record.shortest_length else ""
        return f"Success after {steps}, return {record.episode_return:.3f}{shortest}"
    return f"Failure: the goal was not reached in {steps}"


def way_of_failing(trajectory: Trajectory) -> str:
    """The class of a failed episode and what it means; empty for others."""
    if trajectory.outcome != "failure":
        return ""
    name = classify(observe(trajectory))
    return f"{LABELS[name]}: {CLASSES[name].__doc__}"


def _count(steps: int) -> str:
    return f"{steps} step" + "s" * (steps != 1)
