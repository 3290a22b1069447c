"""What replays say about an episode, beside its pictures."""

from __future__ import annotations

from babyai_kit.configuration.models import is_human, is_offline_player
from babyai_kit.hostile_text import visible
from babyai_kit.runs.trajectories import Trajectory


def about(trajectory: Trajectory) -> str:
    """One line: which episode this is."""
    key = trajectory.key
    parts = [key.variant, f"{key.task}, seed {key.seed}"]
    if key.repeat:
        parts.append(f"repeat {key.repeat}")
    if key.num_dists:
        parts.append(f"{key.num_dists} distractors")
    return visible(" · ".join([*parts, f"model {key.model}", f"run {key.run}"]))


def model_note(trajectory: Trajectory) -> str:
    """That the offline player is not a language model, nor a person; empty for other models."""
    if is_human(trajectory.key.model):
        return "Played by a person"
    return "Offline player: not an LLM" if is_offline_player(trajectory.key.model) else ""


def outcome_text(trajectory: Trajectory) -> str:
    """How the episode ended, after its last step."""
    record, number = trajectory.record, len(trajectory.steps)
    steps = "1 step" if number == 1 else f"{number} steps"
    if record is None:
        return f"Unfinished: {steps} so far"
    if record.status != "ok":
        return f"Ended after {steps} by an error, which is not the agent's"
    if record.success:
        shortest = f"; the shortest path takes {record.shortest_length}" if record.shortest_length else ""
        return f"Success after {steps}, return {record.episode_return:.3f}{shortest}"
    return f"Failure: the goal was not reached in {steps}"
