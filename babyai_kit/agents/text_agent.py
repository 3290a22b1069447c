"""What the agents of plain text share: the rules of the game in words, the last steps, and one call a step.

A subclass says how to answer (`form`) and how an answer is read (`read`); see naive.py, the smallest.
"""

from __future__ import annotations

from dataclasses import dataclass

from babyai_kit.agents.action_text import bare_action
from babyai_kit.agents.interface import Episode, Message, Move, Observation

RULES = """\
You play a game on a grid of square cells. You have a mission, and you take one action at a time until it is \
fulfilled.

Before each action you read what is in view, with its distance from you in steps: forward is the way you \
face, left and right are at your sides. You see 6 steps ahead and 3 steps to either side; what is behind you \
is hidden. Turning does not move you, but changes which way everything lies.

The six actions:
- turn left: face 90 degrees further to the left
- turn right: face 90 degrees further to the right
- go forward: move 1 step the way you face, unless a wall, an object or a door that is not open is there
- pick up: take the object 1 step forward; you hold one object at most
- drop: put what you hold on the cell 1 step forward, if it is empty
- toggle: open or close the door 1 step forward; a locked door needs the key of its colour in your hands

A mission to go to something is fulfilled when you face it from the next cell. Something is next to another \
thing when their cells touch."""


@dataclass(frozen=True)
class PastStep:
    """A step as the model may be shown it."""

    observation: str
    action: str
    """Executed."""
    valid: bool
    thought: str = ""


class TextAgent:
    """Shows the model the mission, the last `history_length` steps and what is in view; asks once a step."""

    form = ""
    """The last paragraph of the system message: how to answer."""
    shows_thoughts = False
    """Whether the past steps are shown with what the model thought."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        self.steps: list[PastStep] = []
        """All of the episode; prompts show the last `history_length`."""
        self._seen = self._thought = ""

    async def act(self, observation: Observation) -> Move:
        self.remember(observation)
        reply = await self.episode.ask(self.messages(observation))
        move = self.read(reply.text)
        self._thought = move.thinking or ""
        return move

    def read(self, answer: str) -> Move:
        """The move that the model's `answer` means; any text gives one."""
        return Move(bare_action(answer))

    def remember(self, observation: Observation) -> None:
        """Takes in what the latest action came to; to be called once a step."""
        if (past := observation.past) is not None:
            self.steps.append(PastStep(self._seen, past.action, past.valid, self._thought))
        self._seen = observation.text

    def messages(self, observation: Observation, *notes: str, form: str | None = None) -> list[Message]:
        """A system message and one of the user. `notes`: paragraphs between mission and past steps."""
        mission = f"Mission: {observation.mission}"
        now = f"Current observation:\n{observation.text}"
        words = "\n\n".join([mission, *notes, *self._steps(), now])
        return [
            Message("system", f"{RULES}\n\n{self.form if form is None else form}"),
            Message("user", words),
        ]

    def _steps(self) -> list[str]:
        length = self.episode.history_length
        past = self.steps[-length:] if length else []
        if not past:
            return []
        count = "Your last step" if len(past) == 1 else f"Your last {len(past)} steps, oldest first"
        return [f"{count}:", *(step_text(step, thoughts=self.shows_thoughts) for step in past)]


def step_text(step: PastStep, *, thoughts: bool = False) -> str:
    """A step in words, as prompts show it."""
    lines = ["Observation:", step.observation]
    if thoughts and step.thought:
        lines.append(f"Thought: {step.thought}")
    lines.append(f"Action: {step.action}")
    if not step.valid:
        lines.append("Note: what you answered was none of the six actions, so you went forward.")
    return "\n".join(lines)
