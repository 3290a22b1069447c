"""What a step's prompt is rendered from: the arguments of one message, or those of a dialogue, in which each
step is a message of its own and the answers stand in between.

Both are a function of the recorded steps and of nothing else: that is what lets a run resume in the middle of
an episode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from babyai_kit.agents.interface import Turn


class PastStep(Protocol):
    """A step as the model may be shown it; the journal's records are such steps."""

    @property
    def observation(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def valid(self) -> bool: ...


S = TypeVar("S", bound=PastStep)


@dataclass(frozen=True)
class LastSteps:
    """Remembers the last `length` steps (0 or more); the variant's template decides whether to show them."""

    length: int

    def recall(self, steps: Sequence[S]) -> Sequence[S]:
        return steps[-self.length :] if self.length else ()


def template_arguments(mission: str, observation: str, remembered: Sequence[PastStep]) -> dict[str, Any]:
    """The arguments of the user template for one step (see `config/functions/act/user_schema.json`)."""
    history = [{"observation": s.observation, "action": s.action, "valid": s.valid} for s in remembered]
    return {"mission": mission, "observation": observation, "history": history}


@dataclass(frozen=True)
class StepPrompt:
    """What a step's messages are rendered from."""

    arguments: Mapping[str, Any]
    """Of the last message's template."""
    earlier: tuple[Turn, ...] = ()
    """Of a dialogue, oldest first."""


def step_prompt(
    mission: str, observation: str, steps: Sequence[PastStep], *, length: int, dialogue: bool
) -> StepPrompt:
    """Of the step after `steps`, all of the episode so far. At most `length` (0 or more) of them are sent."""
    if not dialogue:
        return StepPrompt(template_arguments(mission, observation, LastSteps(length).recall(steps)))
    first = first_shown(len(steps), length)
    shown = steps[first:]
    # A message is a function of its own step and the one before, and of nothing else: so a dialogue begins as
    # that of the step before did, to the token, and a cache has read it already.
    *earlier, arguments = (
        _message_arguments(mission, text, before)
        for text, before in zip([*(s.observation for s in shown), observation], [None, *shown], strict=True)
    )
    return StepPrompt(
        arguments, tuple(Turn(a, answer_text(s.action)) for a, s in zip(earlier, shown, strict=True))
    )


def _message_arguments(mission: str, observation: str, before: PastStep | None) -> dict[str, Any]:
    """Of a dialogue's message; `before`: the step that the message before is about.

    That has its observation, so it is left out here. By this a template tells such a message from another
    variant's prompt with one past step, which TensorZero's UI can try with this one.
    """
    arguments = template_arguments(mission, observation, [before] if before else [])
    for step in arguments["history"]:
        step["observation"] = ""
    return arguments


def first_shown(step: int, length: int) -> int:
    """The step (from 0) with which the dialogue of `step` begins, if it shows at most `length` past steps.

    A function of the step's number alone. What is too much goes by `length // 2 + 1` steps at once and not by
    one at each step, since a dialogue that begins elsewhere is new to every cache.
    """
    block = length // 2 + 1
    return -(-max(0, step - length) // block) * block


def mean_shown(length: int) -> float:
    """The past steps that dialogues of at most `length` show, on average over the steps of a long episode."""
    return length - length // 2 / 2


def answer_text(action: str) -> str:
    """An earlier answer as a dialogue shows it: the executed `action` in the form that is asked for.

    Also after an invalid answer, with a note in the next message. The answer itself may be anything: nothing,
    which some servers refuse, ten pages, or a form that the model then keeps to.
    """
    return json.dumps({"action": action})
