"""The agent behind the variants of `act`: a prompt from what it observed and remembers, an action from the
model's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from babyai_kit.agents.interface import Episode, Move, Observation
from babyai_kit.agents.step_prompt import StepPrompt, step_prompt, template_arguments
from babyai_kit.environment import ACTIONS

FALLBACK_ACTION = "go forward"
"""What BALROG executes after an invalid answer."""


@dataclass(frozen=True)
class _Seen:
    observation: str
    action: str
    valid: bool


@dataclass(frozen=True)
class Decision:
    """What the agent does: `action` is always one of ACTIONS; `valid` says whether the model chose it."""

    action: str
    valid: bool
    thinking: str | None


class TemplateAgent:
    """The agent behind the variants of `config/`: one call a step, with the arguments of its templates.

    It sends the last `history_length` steps, in one message, whose template decides whether to show them; or,
    if the variant is a `dialogue`, at most so many, each as a message of its own.
    """

    def __init__(self, episode: Episode, *, dialogue: bool = False) -> None:
        self._ask = episode.ask
        self._length = episode.history_length
        self._dialogue = dialogue
        self._steps: list[_Seen] = []
        self._seen = ""

    async def act(self, observation: Observation) -> Move:
        self.remember(observation)
        return await self.answer(observation)

    def remember(self, observation: Observation) -> None:
        """Takes in what the latest action came to; to be called once a step."""
        past = observation.past
        if past is not None:
            self._steps.append(_Seen(self._seen, past.action, past.valid))
        self._seen = observation.text

    async def answer(self, observation: Observation) -> Move:
        """The model's move, given what is remembered."""
        prompt = step_prompt(
            observation.mission, observation.text, self._steps, length=self._length, dialogue=self._dialogue
        )
        answer = await self._ask(arguments=prompt.arguments, earlier=prompt.earlier)
        decision = decide(answer.parsed)
        return Move(decision.action if decision.valid else "", decision.thinking)


SAMPLE_ARGUMENTS = template_arguments("go to the red ball", "a red ball 1 step forward", [])
"""For calls that only find out whether and how a model answers."""


def sample_prompt(*, dialogue: bool) -> StepPrompt:
    """For such calls; a dialogue's has an earlier turn, which a server may refuse."""
    mission, observation = SAMPLE_ARGUMENTS["mission"], SAMPLE_ARGUMENTS["observation"]
    steps = [_Seen("a red ball 1 step right", "turn right", valid=True)] if dialogue else []
    return step_prompt(mission, observation, steps, length=1, dialogue=dialogue)


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
