"""The agent behind the variants of `act`: a template's arguments from what it observed and remembers, an
action from the model's answer.

What an agent remembers is a function of its recorded steps and of nothing else: that is what lets a run
resume in the middle of an episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from babyai_kit.agents.interface import Episode, Move, Observation
from babyai_kit.environment import ACTIONS

FALLBACK_ACTION = "go forward"
"""What BALROG executes after an invalid answer."""


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
class _Seen:
    observation: str
    action: str
    valid: bool


@dataclass(frozen=True)
class LastSteps:
    """Remembers the last `length` steps (0 or more); the variant's template decides whether to show them."""

    length: int

    def recall(self, steps: Sequence[S]) -> Sequence[S]:
        return steps[-self.length :] if self.length else ()


@dataclass(frozen=True)
class Decision:
    """What the agent does: `action` is always one of ACTIONS; `valid` says whether the model chose it."""

    action: str
    valid: bool
    thinking: str | None


def template_arguments(mission: str, observation: str, remembered: Sequence[PastStep]) -> dict[str, Any]:
    """The arguments of the user template for one step (see `config/functions/act/user_schema.json`)."""
    history = [{"observation": s.observation, "action": s.action, "valid": s.valid} for s in remembered]
    return {"mission": mission, "observation": observation, "history": history}


class TemplateAgent:
    """The agent behind the variants of `config/`: one call a step, with the arguments of its templates.

    It sends the last `history_length` steps; the variant's template decides whether to show them.
    """

    def __init__(self, episode: Episode) -> None:
        self._ask = episode.ask
        self._memory = LastSteps(episode.history_length)
        self._steps: list[_Seen] = []
        self._seen = ""

    async def act(self, observation: Observation) -> Move:
        past = observation.past
        if past is not None:
            self._steps.append(_Seen(self._seen, past.action, past.valid))
        self._seen = observation.text
        remembered = self._memory.recall(self._steps)
        arguments = template_arguments(observation.mission, observation.text, remembered)
        decision = decide((await self._ask(arguments=arguments)).parsed)
        return Move(decision.action if decision.valid else "", decision.thinking)


SAMPLE_ARGUMENTS = template_arguments("go to the red ball", "a red ball 1 step forward", [])
"""For calls that only find out whether and how a model answers."""


def decide(parsed: Any) -> Decision:
    """The action of an answer, given as the gateway parsed it (None if it broke the output schema).

    Total: any value gives a decision. Nothing is salvaged from an answer that is not valid.
    """
    answer = parsed if isinstance(parsed, dict) else {}
    thinking = answer.get("thinking")
    thinking = thinking if isinstance(thinking, str) else None
    action = answer.get("action")
    if isinstance(action, str) and action in ACTIONS:
        return Decision(action, True, thinking)
    return Decision(FALLBACK_ACTION, False, thinking)
