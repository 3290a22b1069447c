"""Drafts several answers at once and lets the model itself judge which action to take."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from babyai_kit.agents.action_text import marked_action, thought_before
from babyai_kit.agents.chain_of_thought import THINK_AND_ACT
from babyai_kit.agents.interface import Episode, Move, Observation
from babyai_kit.agents.registry import agent
from babyai_kit.agents.text_agent import TextAgent
from babyai_kit.environment import ACTIONS
from babyai_kit.errors import InputError

JUDGE = (
    "Below are proposals of players who saw what you see. Judge which of them brings the mission closest to "
    "its end, and answer with its number and nothing else."
)


@agent("best_of_n", uses_history=True)
class BestOfN(TextAgent):
    """Remembers its last steps; `n` calls a step, and one more where their actions differ."""

    form = THINK_AND_ACT

    def __init__(self, episode: Episode, *, n: int = 3, temperature: float = 1.0) -> None:
        """`n`: drafts a step, at least 2. `temperature`: theirs; the judge is asked at 0.

        Raises InputError for fewer drafts."""
        if n < 2:
            raise InputError(f"n {n} is not valid; use at least 2")
        super().__init__(episode)
        self.n, self.temperature = n, temperature

    async def act(self, observation: Observation) -> Move:
        self.remember(observation)
        messages = self.messages(observation)
        asked = (self.episode.ask(messages, temperature=self.temperature) for _ in range(self.n))
        drafts = [self.read(reply.text) for reply in await asyncio.gather(*asked)]
        valid = [draft for draft in drafts if draft.action in ACTIONS]
        if len({draft.action for draft in valid}) <= 1:
            return valid[0] if valid else drafts[0]
        return await self._judged(observation, valid)

    def read(self, answer: str) -> Move:
        return Move(marked_action(answer), thinking=thought_before(answer) or None)

    async def _judged(self, observation: Observation, drafts: list[Move]) -> Move:
        proposals = [
            f"Proposal {number}: {draft.action}\n{draft.thinking or ''}".strip()
            for number, draft in enumerate(drafts, start=1)
        ]
        messages = self.messages(observation, *proposals, form=JUDGE)
        reply = await self.episode.ask(messages, temperature=0.0)
        number = re.search(r"\d+", reply.text)
        if number and 1 <= int(number[0]) <= len(drafts):
            return drafts[int(number[0]) - 1]
        # A judge that names none: what most drafts want.
        most = Counter(draft.action for draft in drafts).most_common(1)[0][0]
        return next(draft for draft in drafts if draft.action == most)
