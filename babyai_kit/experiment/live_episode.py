"""An episode that is planned, and one that is being played: its environment, its steps so far, its row.

Knows nothing of who answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from babyai_kit.agents.interface import Ending, Move, Observation
from babyai_kit.agents.rehearsal import observed
from babyai_kit.agents.template_agent import FALLBACK_ACTION
from babyai_kit.environment import ACTIONS, shortest_length
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import ServiceError, UnsupportedLevelError
from babyai_kit.runs.records import CallRecord, EpisodeKey, EpisodeRecord, StepRecord, summarize, total


@dataclass(frozen=True)
class PlannedEpisode:
    """An episode to run or to go on with."""

    key: EpisodeKey
    variant_digest: str
    episode_id: str
    steps: tuple[StepRecord, ...] = ()
    """Steps answered before, in order from 0."""
    calls: tuple[CallRecord, ...] = ()
    """Calls answered before, of these steps and of the one that was broken off."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Sent with every call, beside the step's number."""
    sent_history: int | None = None
    """Earlier steps sent with a call; None: those of the key. A prompt that shows none is sent them too, so
    that another variant can be asked on the same step in the UI."""
    served_as: str = ""
    """The gateway's variant; empty: the key's."""
    registered: bool = False
    """True if the id comes from a workflow evaluation, whose run names the variant."""

    @property
    def begun(self) -> bool:
        """True if the episode keeps the id it has."""
        return self.registered or bool(self.steps) or bool(self.calls)


class LiveEpisode:
    """The environment of a planned episode, and the agent that plays it."""

    def __init__(self, planned: PlannedEpisode) -> None:
        key = planned.key
        self.planned = planned
        self.playback = Playback(key.task, num_dists=key.num_dists, seed=key.seed)
        self.env, self.mission = self.playback.env, self.playback.mission
        self.shortest_length: int | None = None
        with suppress(UnsupportedLevelError):
            self.shortest_length = shortest_length(self.env)
        self.steps: list[StepRecord] = []
        self.closing: Sequence[CallRecord] = ()
        """Calls after the last step."""

    @property
    def done(self) -> bool:
        return self.playback.done

    @property
    def steps_left(self) -> int:
        return self.env.max_steps - len(self.steps)

    def observation(self) -> Observation:
        """What the agent sees now."""
        return observed(self.playback, self.steps)

    def take(self, move: Move, calls: Sequence[CallRecord]) -> StepRecord:
        """Execute `move`, which `calls` led to, and return the step, which is now part of the episode."""
        valid = move.action in ACTIONS
        action = move.action if valid else FALLBACK_ACTION
        observation = self.playback.observation
        last = calls[-1] if calls else None
        step = StepRecord(
            **vars(self.planned.key),
            variant_digest=self.planned.variant_digest,
            episode_id=self.planned.episode_id,
            step=len(self.steps),
            observation=observation,
            answer=last.answer if last else move.action,
            thinking=move.thinking,
            action=action,
            valid=valid,
            reward=self.playback.step(action),
            input_tokens=total(call.input_tokens for call in calls),
            output_tokens=total(call.output_tokens for call in calls),
            cost_usd=total(call.cost_usd for call in calls),
            call_s=sum(call.call_s for call in calls),
            inference_id=last.inference_id if last else "",
            finish_reason=last.finish_reason if last else None,
            cached_tokens=total(call.cached_tokens for call in calls),
            reasoning_tokens=total(call.reasoning_tokens for call in calls),
            calls=len(calls),
        )
        self.steps.append(step)
        return step

    def ending(self) -> Ending:
        """What an agent is told at the end."""
        row = self.summary()
        return Ending(self.observation(), bool(row.success), row.episode_return or 0.0)

    def summary(self, error: ServiceError | None = None) -> EpisodeRecord:
        """The episode's row as it stands."""
        return summarize(
            self.planned.key,
            self.planned.variant_digest,
            self.planned.episode_id,
            self.steps,
            max_steps=self.env.max_steps,
            shortest_length=self.shortest_length,
            closing=self.closing,
            error=error,
        )
