"""An agent that is given its recorded answers again: what it sees, what was answered, and what it asks.

A run that goes on brings its agents to where they were in this way, and the viewer shows what was asked.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from babyai_kit.agents.interface import (
    Ask,
    Ending,
    Episode,
    MakeAgent,
    Message,
    Observation,
    Past,
    Reply,
    Turn,
)
from babyai_kit.agents.requests import png, request_digest
from babyai_kit.environment.picture import present_view
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import KitError
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.records import CallRecord, EpisodeKey, StepRecord
from babyai_kit.runs.trajectories import Trajectory


class AskedOtherwise(KitError):
    """An agent that is given its recorded answers asks something else than it asked before."""


@dataclass(frozen=True)
class Call:
    """What an agent asked for in one call, and what it was answered."""

    variant: str
    """Of `config/` where it asks one; else its own name."""
    messages: tuple[Message, ...] | None
    arguments: Mapping[str, Any]
    """Of the variant's template, where there are no messages."""
    earlier: tuple[Turn, ...]
    answer: CallRecord
    """As it was recorded."""


@dataclass
class Rehearsal:
    """What an agent asked, as far as it asks the same again."""

    steps: list[list[Call]] = field(default_factory=list)
    """By step; shorter than the episode where the agent does not repeat itself."""
    closing: list[Call] = field(default_factory=list)
    """After the last step."""
    failure: str = ""
    """Why it ends before the episode does; empty if it does not."""


def observed(playback: Playback, steps: Sequence[StepRecord]) -> Observation:
    """What the agent sees after `steps`, all of the episode so far."""
    past = None
    if steps:
        last = steps[-1]
        past = Past(last.action, last.valid, last.action if last.valid else last.answer or "")
    view = present_view(playback.env)
    return Observation(playback.observation, playback.mission, len(steps), past, picture=view)


def given_episode(
    key: EpisodeKey, playback: Playback, ask: Ask, *, history_length: int, **more: Any
) -> Episode:
    """What an agent is given at the beginning of the episode `key`. `more`: see `Episode`."""
    return Episode(
        ask=ask,
        mission=playback.mission,
        task=key.task,
        seed=key.seed,
        num_dists=key.num_dists,
        repeat=key.repeat,
        max_steps=playback.env.max_steps,
        history_length=history_length,
        variant=key.variant,
        model=key.model,
        random=random.Random(key.call_seed(-1)),
        **more,
    )


def by_step(calls: Iterable[CallRecord]) -> dict[int, list[CallRecord]]:
    """The recorded calls by step."""
    steps: dict[int, list[CallRecord]] = {}
    for call in calls:
        steps.setdefault(call.step, []).append(call)
    return steps


def reply_of(call: CallRecord) -> Reply:
    """A recorded call as its agent was answered."""
    parsed = None if call.parsed is None else json.loads(call.parsed)
    return Reply(call.answer or "", parsed, call.finish_reason, call.input_tokens, call.output_tokens)


async def rehearse(
    make_agent: MakeAgent,
    trajectory: Trajectory,
    calls: Iterable[CallRecord],
    *,
    sampling: Sampling,
    dialogues: frozenset[str] = frozenset(),
) -> Rehearsal:
    """Give a new agent of Python code the recorded answers of `trajectory`, in their order.

    It ends where the agent asks something else than was recorded, or raises. `sampling`: the run's;
    `dialogues`: the variants of `config/` that are dialogues. Raises JournalError where the trajectory does
    not replay.
    """
    key, rehearsal = trajectory.key, Rehearsal()
    prompter = _Prompter(key, sampling, by_step(calls))
    # Brings the reason why an episode does not replay, before the agent is asked anything.
    for _ in trajectory.states():
        pass
    playback = Playback(key.task, num_dists=key.num_dists, seed=key.seed)
    with closing(playback.env):
        try:
            agent = make_agent(
                given_episode(key, playback, prompter, history_length=key.history_length, dialogues=dialogues)
            )
            for step in playback.replay(trajectory.steps):
                prompter.begin(step.step)
                await agent.act(observed(playback, trajectory.steps[: step.step]))
                rehearsal.steps.append(prompter.calls())
            finished = getattr(agent, "finished", None)
            if trajectory.success is not None and finished is not None:
                prompter.begin(len(trajectory.steps))
                observation = observed(playback, trajectory.steps)
                record = trajectory.record
                episode_return = (record and record.episode_return) or 0.0
                await finished(Ending(observation, bool(trajectory.success), episode_return))
                rehearsal.closing = prompter.calls()
        except Exception as error:  # whatever the agent raises, whose code may be another by now
            rehearsal.failure = str(prompter.failure or error) or type(error).__name__
    return rehearsal


class _Prompter:
    """The `ask` of an agent that is given its recorded answers."""

    def __init__(
        self, key: EpisodeKey, sampling: Sampling, recorded: Mapping[int, Sequence[CallRecord]]
    ) -> None:
        self._key, self._sampling, self._recorded = key, sampling, recorded
        self._step = 0
        self._asked: list[Call | None] = []
        self.failure: AskedOtherwise | None = None

    def begin(self, step: int) -> None:
        self._step, self._asked = step, []

    def calls(self) -> list[Call]:
        """Of the present step, in the order in which they were asked. Raises AskedOtherwise if there are
        fewer than were recorded."""
        if self.failure is not None:
            raise self.failure
        if len(self._asked) < len(self._recorded.get(self._step, ())):
            raise AskedOtherwise("it asks less often than it did")
        return [call for call in self._asked if call is not None]

    async def __call__(
        self,
        messages: Sequence[Message] | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        earlier: Sequence[Turn] = (),
        variant: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        number = len(self._asked)
        self._asked.append(None)
        call = next((c for c in self._recorded.get(self._step, ()) if c.call == number), None)
        if call is None:
            raise self._failed("it asks more often than it did")
        sampling = self._sampling
        request = request_digest(
            variant or self._key.variant,
            arguments=arguments or {},
            words=[(message.role, message.content) for message in messages or ()],
            images=[png(image) for message in messages or () for image in message.images],
            temperature=sampling.temperature if temperature is None else temperature,
            max_tokens=max_tokens or sampling.max_tokens,
            earlier=earlier,
        )
        if call.request != request:
            raise self._failed("it asks something else than it did")
        self._asked[number] = Call(
            variant or self._key.variant,
            None if messages is None else tuple(messages),
            arguments or {},
            tuple(earlier),
            call,
        )
        return reply_of(call)

    def _failed(self, reason: str) -> AskedOtherwise:
        self.failure = self.failure or AskedOtherwise(reason)
        return self.failure
