"""One episode: environment, agent and model in turn, from its first unanswered step to its end.

A step is recorded before its slot is released, and an episode that was broken off goes on from its recorded
steps, since the environment is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field

from babyai_kit.agents.template_agent import LastSteps, Memory, decide, template_arguments
from babyai_kit.configuration.dialects import Dialect
from babyai_kit.environment import shortest_length
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import ServiceError, UnsupportedLevelError
from babyai_kit.experiment.patience import Backoff
from babyai_kit.experiment.retries import Retries, retrying
from babyai_kit.gateway.protocol import Answer, Question
from babyai_kit.gateway.session import Session
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord, StepRecord, summarize


@dataclass(frozen=True)
class PlannedEpisode:
    """An episode to run or to go on with."""

    key: EpisodeKey
    variant_digest: str
    episode_id: str
    steps: tuple[StepRecord, ...] = ()
    """Steps answered before, in order from 0."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Sent with every call, beside the step's number."""
    sent_history: int | None = None
    """Earlier steps sent with a call; None: those of the key. A prompt that shows none is sent them too, so
    that another variant can be asked on the same step in the UI."""
    served_as: str = ""
    """The gateway's variant of `act`; empty: the key's."""
    registered: bool = False
    """True if the id comes from a workflow evaluation, whose run names the variant."""

    @property
    def begun(self) -> bool:
        """True if the episode keeps the id it has."""
        return self.registered or bool(self.steps)


class LiveEpisode:
    """The environment of a planned episode, brought to where its recorded steps end."""

    def __init__(self, planned: PlannedEpisode) -> None:
        key = planned.key
        self.planned = planned
        self.playback = Playback(key.task, num_dists=key.num_dists, seed=key.seed)
        self.env, self.mission = self.playback.env, self.playback.mission
        self.shortest_length: int | None = None
        with suppress(UnsupportedLevelError):
            self.shortest_length = shortest_length(self.env)
        self.steps: list[StepRecord] = list(self.playback.replay(planned.steps))

    @property
    def observation(self) -> str:
        return self.playback.observation

    @property
    def done(self) -> bool:
        return self.playback.done

    @property
    def steps_left(self) -> int:
        return self.env.max_steps - len(self.steps)

    def take(self, answer: Answer) -> StepRecord:
        """Execute what `answer` decides and return the step, which is now part of the episode."""
        decision = decide(answer.parsed)
        observation = self.observation
        step = StepRecord(
            **vars(self.planned.key),
            variant_digest=self.planned.variant_digest,
            episode_id=self.planned.episode_id,
            step=len(self.steps),
            observation=observation,
            answer=answer.raw,
            thinking=decision.thinking,
            action=decision.action,
            valid=decision.valid,
            reward=self.playback.step(decision.action),
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost_usd=answer.cost_usd,
            call_s=answer.call_s,
            inference_id=answer.inference_id,
            finish_reason=answer.finish_reason,
            cached_tokens=answer.cached_tokens,
            reasoning_tokens=answer.reasoning_tokens,
        )
        self.steps.append(step)
        return step

    def summary(self, error: ServiceError | None = None) -> EpisodeRecord:
        """The episode's row as it stands."""
        return summarize(
            self.planned.key,
            self.planned.variant_digest,
            self.planned.episode_id,
            self.steps,
            max_steps=self.env.max_steps,
            shortest_length=self.shortest_length,
            error=error,
        )


async def run_episode(
    session: Session,
    planned: PlannedEpisode,
    *,
    sampling: Sampling | None = None,
    dialect: Dialect | None = None,
    memory: Memory | None = None,
    slot: Callable[[int], AbstractAsyncContextManager[None]] = lambda urgency: nullcontext(),
    record: Callable[[StepRecord], None] = lambda step: None,
    persistently: Retries | None = None,
) -> EpisodeRecord:
    """Play `planned` to its end and return its row.

    `slot(urgency)` is held during each call; urgency is the number of steps left. `record` gets every
    step as soon as it is answered; `persistently` calls again what failed. A service that keeps failing gives
    a row of status `error`.
    Raises ServiceError when the failure is fatal for every call, JournalError when the recorded steps
    do not replay, and whatever `slot` and `record` raise.
    """
    sampling = sampling or Sampling()
    length = planned.key.history_length if planned.sent_history is None else planned.sent_history
    memory = memory or LastSteps(length)
    episode = LiveEpisode(planned)

    async def take_step() -> None:
        async with slot(episode.steps_left):
            index = len(episode.steps)
            question = Question(
                planned.key.variant,
                planned.episode_id,
                template_arguments(episode.mission, episode.observation, memory.recall(episode.steps)),
                model=planned.key.model,
                served_as=planned.served_as,
                pinned=planned.registered,
                tags={**planned.tags, "step": str(index)},
                seed=planned.key.call_seed(index) if sampling.call_seeds else None,
                temperature=sampling.temperature,
                max_tokens=sampling.max_tokens,
                reasoning_effort=sampling.reasoning_effort,
                thinking_budget_tokens=sampling.thinking_budget_tokens,
                dialect=dialect or Dialect(),
            )
            record(episode.take(await session.ask(question)))

    # The wait lies outside the slot, so that a failing call does not keep others from theirs.
    persistently = persistently or retrying(Backoff())
    try:
        while not episode.done:
            await persistently(take_step)
    except ServiceError as error:
        if error.fatal:
            raise
        return episode.summary(error)
    finally:
        episode.env.close()
    return episode.summary()
