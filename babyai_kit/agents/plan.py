"""Writes a plan before it acts, keeps it, and writes it anew when it is old or did not work."""

from __future__ import annotations

from typing import Any

from babyai_kit.agents.action_text import marked_action, thought_before
from babyai_kit.agents.interface import Episode, Move, Observation
from babyai_kit.agents.registry import agent
from babyai_kit.agents.text_agent import TextAgent
from babyai_kit.errors import InputError

PLAN = (
    "Now make a plan that fulfils the mission from where you are: at most five short steps, in order. Of an "
    "earlier plan, keep what still holds and change what your last steps have shown to be wrong. Answer with "
    "the plan alone; you are asked for the action afterwards."
)


@agent("plan", uses_history=True)
class Plan(TextAgent):
    """Remembers its plan and its last steps. One call a step, and one more in a step that makes a plan: the
    first, each after `every` steps with the same plan, and each after an action that was not valid or changed
    nothing that is seen."""

    form = (
        "You follow the plan that you made. In one sentence, say which step of it is next; then give the one "
        "action that you take now, between these marks:\n<action>one of the six actions</action>"
    )

    def __init__(self, episode: Episode, *, every: int = 8) -> None:
        super().__init__(episode)
        self.every = every
        self.plan = ""
        self._age = 0
        self._before = ""

    @staticmethod
    def prepare(*, every: int = 8) -> dict[str, Any]:
        """Raises InputError for fewer than 1."""
        if every < 1:
            raise InputError(f"every must be at least 1; got {every}")
        return {}

    async def act(self, observation: Observation) -> Move:
        self.remember(observation)
        if not self.plan or self._age >= self.every or self._failed(observation):
            reply = await self.episode.ask(self.messages(observation, *self._notes(), form=PLAN))
            self.plan, self._age = reply.text.strip(), 0
        self._age, self._before = self._age + 1, observation.text
        reply = await self.episode.ask(self.messages(observation, *self._notes()))
        return Move(marked_action(reply.text), thinking=thought_before(reply.text) or None)

    def _failed(self, observation: Observation) -> bool:
        past = observation.past
        return past is not None and (not past.valid or observation.text == self._before)

    def _notes(self) -> list[str]:
        return [f"Your plan:\n{self.plan}"] if self.plan else []
