"""One episode as the browser gets it. All text is `visible`."""

from __future__ import annotations

from typing import Any

from babyai_kit.hostile_text import visible
from babyai_kit.replay.captions import model_note, outcome_text
from babyai_kit.runs.answers import invalid_reason
from babyai_kit.runs.records import StepRecord
from babyai_kit.runs.trajectories import Trajectory


def episode_data(trajectory: Trajectory) -> dict[str, Any]:
    """EpisodeView of the recorded steps, without the world."""
    key, record = trajectory.key, trajectory.record
    return {
        "run": key.run,
        "id": trajectory.episode_id,
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
        "notReplayed": "the world is not shown yet",
        "world": None,
        "way": None,
        "steps": [_step(step) for step in trajectory.steps],
        "lastObservation": "",
    }


def _step(step: StepRecord) -> dict[str, Any]:
    return {
        "observation": visible(step.observation),
        "thinking": None if step.thinking is None else visible(step.thinking),
        "answer": None if step.answer is None else visible(step.answer),
        "action": step.action,
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
        "finishReason": step.finish_reason,
        "repeats": None,
    }
