"""Looks at what is in view as a picture, beside or instead of the words."""

from __future__ import annotations

from collections import deque

from babyai_kit.agents.action_text import bare_action
from babyai_kit.agents.interface import Episode, Message, Move, Observation, Picture
from babyai_kit.agents.registry import agent
from babyai_kit.agents.text_agent import RULES
from babyai_kit.errors import InputError

MAX_IMAGE_HISTORY = 8

PICTURE = (
    "With your mission comes a picture of what is in view: 7 by 7 cells, seen from above. You are in the "
    "middle of its lowest row and face upwards. What you cannot see is dark."
)
FORM = "Answer with the one action that you take now, in the words above, and nothing else."


@agent("vision", needs=("images",))
class Vision:
    """Remembers its last pictures with its actions; one call a step, without words of what is in view."""

    def __init__(self, episode: Episode, *, max_image_history: int = 0, with_words: bool = False) -> None:
        """`max_image_history`: earlier pictures that are shown, 0 to MAX_IMAGE_HISTORY. `with_words`: the
        observation is told in words too. Raises InputError for another number."""
        if not 0 <= max_image_history <= MAX_IMAGE_HISTORY:
            raise InputError(
                f"max_image_history {max_image_history} is not valid; use 0 to {MAX_IMAGE_HISTORY}"
            )
        self._ask, self._with_words = episode.ask, with_words
        self._past: deque[tuple[Picture, str]] = deque(maxlen=max_image_history)
        self._seen: Picture | None = None

    async def act(self, observation: Observation) -> Move:
        if observation.past is not None and self._seen is not None:
            self._past.append((self._seen, observation.past.action))
        self._seen = observation.picture()
        return Move(bare_action((await self._ask(self._messages(observation, self._seen))).text))

    def _messages(self, observation: Observation, seen: Picture) -> list[Message]:
        messages = [Message("system", f"{RULES}\n\n{PICTURE}\n\n{FORM}")]
        for picture, action in self._past:
            messages += [Message("user", "An earlier view:", (picture,)), Message("assistant", action)]
        words = f"\n\n{observation.text}" if self._with_words else ""
        now = f"Mission: {observation.mission}{words}\n\nThe present view:"
        return [*messages, Message("user", now, (seen,))]
