"""One episode: environment, agent and model in turn, from its first unanswered step to its end.

An episode that was broken off goes on where it was: its recorded actions are played again, since the
environment is deterministic, and a new agent is given its recorded answers again, in order, until they run
out.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import TypeVar

from babyai_kit.agents.interface import Agent, Ending, MakeAgent, Move, Observation
from babyai_kit.agents.rehearsal import AskedOtherwise, by_step, given_episode
from babyai_kit.agents.template_agent import TemplateAgent
from babyai_kit.configuration.dialects import Dialect
from babyai_kit.environment import ACTIONS
from babyai_kit.errors import AgentError, KitError, ServiceError
from babyai_kit.experiment.asking import Asker, Line
from babyai_kit.experiment.live_episode import LiveEpisode, PlannedEpisode
from babyai_kit.experiment.patience import Backoff
from babyai_kit.experiment.retries import Retries, retrying
from babyai_kit.gateway.session import Session
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.records import CallRecord, EpisodeRecord, StepRecord

T = TypeVar("T")


async def run_episode(
    session: Session,
    planned: PlannedEpisode,
    *,
    make_agent: MakeAgent | None = None,
    chats: bool = False,
    sampling: Sampling | None = None,
    dialect: Dialect | None = None,
    slot: Callable[[int], AbstractAsyncContextManager[None]] = lambda urgency: nullcontext(),
    record: Callable[[StepRecord | CallRecord], None] = lambda record: None,
    persistently: Retries | None = None,
) -> EpisodeRecord:
    """Play `planned` to its end and return its row.

    `make_agent`: makes the episode's agent; None: the one behind its variant's templates. `chats`: it may
    call several times a step, and each of its calls is recorded apart. `slot(urgency)` is held during each
    call; urgency is the number of steps left. `record` gets every call and step as soon as it is answered;
    `persistently` calls again what failed. A service that keeps failing, or an agent that raises, gives a row
    of status `error`.
    Raises ServiceError when the failure is fatal for every call, JournalError when the recorded steps do not
    replay, AskedOtherwise if the agent does not repeat them, and whatever `slot` and `record` raise.
    """
    # The wait lies outside the slot, so that a failing call does not keep others from theirs.
    line = Line(
        session, sampling or Sampling(), dialect or Dialect(), slot, persistently or retrying(Backoff())
    )
    key, episode = planned.key, LiveEpisode(planned)
    if make_agent is None:
        make_agent = partial(TemplateAgent, dialogue=session.config.variants[key.variant].dialogue)
    asker = Asker(
        line,
        key,
        variant_digest=planned.variant_digest,
        episode_id=planned.episode_id,
        tags=planned.tags,
        served_as=planned.served_as,
        pinned=planned.registered,
        chats=chats,
        record=record if chats else None,
    )
    try:
        dialogues = frozenset(name for name, v in session.config.variants.items() if v.dialogue)
        agent = _made(make_agent, planned, episode, asker, dialogues)
        recorded = by_step(planned.calls if chats else map(_call_of, planned.steps))
        for step in episode.playback.replay(planned.steps):
            asker.begin(
                step.step, steps_left=episode.steps_left, recorded=recorded.get(step.step, ()), live=False
            )
            move = await _act(agent, episode.observation(), asker)
            if len(asker.answered) != len(recorded.get(step.step, ())) or not _same(move, step):
                raise AskedOtherwise(f"step {step.step} does something else than it did")
            episode.steps.append(step)
        while not episode.done:
            number = len(episode.steps)
            asker.begin(number, steps_left=episode.steps_left, recorded=recorded.get(number, ()))
            move = await _act(agent, episode.observation(), asker)
            record(episode.take(move, asker.answered))
        number = len(episode.steps)
        asker.begin(number, steps_left=0, recorded=recorded.get(number, ()))
        try:
            await _finish(agent, episode.ending(), asker)
        finally:
            episode.closing = asker.answered
    except ServiceError as error:
        if error.fatal:
            raise
        return episode.summary(error)
    finally:
        episode.env.close()
    return episode.summary()


def _made(
    make_agent: MakeAgent,
    planned: PlannedEpisode,
    episode: LiveEpisode,
    asker: Asker,
    dialogues: frozenset[str],
) -> Agent:
    key = planned.key
    length = key.history_length if planned.sent_history is None else planned.sent_history
    given = given_episode(
        key, episode.playback, asker, history_length=length, dialogues=dialogues, embed=asker.embed
    )
    try:
        return make_agent(given)
    except KitError:
        raise
    except Exception as error:
        raise _of_agent(key.variant, error) from error


async def _act(agent: Agent, observation: Observation, asker: Asker) -> Move:
    """The agent's move."""
    move = await _guarded(agent, partial(agent.act, observation), asker)
    if isinstance(move, Move):
        return move
    return Move(move if isinstance(move, str) else "")


async def _finish(agent: Agent, ending: Ending, asker: Asker) -> None:
    """Tell an agent that wants to know how its episode ended."""
    if (finished := getattr(agent, "finished", None)) is not None:
        await _guarded(agent, partial(finished, ending), asker)


async def _guarded(agent: Agent, method: Callable[[], Awaitable[T]], asker: Asker) -> T:
    """What the agent's `method` returns. What ended a call ends the episode, even if the agent caught it."""
    try:
        outcome = await method()
    except KitError:
        raise
    except Exception as error:
        if asker.failure is None:
            raise _of_agent(type(agent).__name__, error) from error
    finally:
        await asker.close()
    if asker.failure is not None:
        raise asker.failure
    return outcome


def _of_agent(name: str, error: Exception) -> AgentError:
    place = ""
    if error.__traceback__ is not None:
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        place = f", line {last.tb_lineno} of {last.tb_frame.f_code.co_filename}"
    return AgentError(
        f"the agent {name} raised {type(error).__name__}{place}; mend it and run again: {error}"
    )


def _same(move: Move, step: StepRecord) -> bool:
    """Whether the move leads to the recorded action, for the same reason."""
    valid = move.action in ACTIONS
    return valid == step.valid and (not valid or move.action == step.action)


def _call_of(step: StepRecord) -> CallRecord:
    """The one call that a step was, as far as its agent reads it."""
    thinking = {} if step.thinking is None else {"thinking": step.thinking}
    parsed = json.dumps({**thinking, "action": step.action}) if step.valid else None
    if not step.valid and thinking:
        parsed = json.dumps(thinking)
    return CallRecord(
        **vars(step.key),
        variant_digest=step.variant_digest,
        episode_id=step.episode_id,
        step=step.step,
        call=0,
        request="",
        answer=step.answer,
        parsed=parsed,
        input_tokens=step.input_tokens,
        output_tokens=step.output_tokens,
        cost_usd=step.cost_usd,
        call_s=step.call_s,
        inference_id=step.inference_id,
        finish_reason=step.finish_reason,
    )
