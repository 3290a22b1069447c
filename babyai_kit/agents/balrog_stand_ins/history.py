"""Stands in for `balrog.prompt_builder.history`: the messages of an episode's last steps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class Message:
    """One message of a chat. Agents may change its content before they send it."""

    role: str
    content: str
    attachment: Any = None
    """An image, or None."""


@dataclass(frozen=True)
class _Observation:
    text: str | None
    image: Any


@dataclass(frozen=True)
class _Action:
    name: str
    reasoning: str | None


class HistoryPromptBuilder:
    """Remembers an episode's last observations, actions and thoughts, and makes messages of them.

    Texts are shown of the last `max_text_history` observations, images of the last `max_image_history`, and
    thoughts in place of the last `max_cot_history` actions that have some (each 0 or more). `system_prompt`:
    the instruction, which goes first, as the user's.
    """

    def __init__(
        self,
        max_text_history: int = 16,
        max_image_history: int = 1,
        system_prompt: str | None = None,
        max_cot_history: int = 1,
    ) -> None:
        self.max_text_history = max_text_history
        self.max_image_history = max_image_history
        self.max_history = max(max_text_history, max_image_history)
        self.max_cot_history = max_cot_history
        self.system_prompt = system_prompt
        self.previous_reasoning: str | None = None
        self._events: deque[_Observation | _Action] = deque(maxlen=2 * self.max_history)
        self._short_term: str | None = None

    def update_instruction_prompt(self, instruction: str) -> None:
        """Show `instruction` first from now on."""
        self.system_prompt = instruction

    def update_observation(self, obs: dict[str, Any]) -> None:
        """Remember an observation. Its short-term context is shown only while it is the latest."""
        self._short_term = obs["text"].get("short_term_context", "")
        # Reading the image draws it.
        image = obs.get("image") if self.max_image_history > 0 else None
        self._events.append(_Observation(obs["text"].get("long_term_context", ""), image))

    def update_action(self, action: str) -> None:
        """Remember an action, with the thoughts that were last given to `update_reasoning`."""
        self._events.append(_Action(action, self.previous_reasoning))

    def update_reasoning(self, reasoning: str) -> None:
        """Remember thoughts; they belong to every action from now on until others are given."""
        self.previous_reasoning = reasoning

    def reset(self) -> None:
        """Forget observations and actions."""
        self._events.clear()

    def get_prompt(self, icl_episodes: bool = False) -> list[Message]:
        """New messages; without the instruction if `icl_episodes`, whose agents put it elsewhere."""
        texts, images, thoughts = self.max_text_history, self.max_image_history, self.max_cot_history
        messages: list[Message] = []
        for event in reversed(self._events):
            if isinstance(event, _Action):
                thinks = event.reasoning is not None and thoughts > 0
                thoughts -= thinks
                content = f"Previous plan:\n{event.reasoning}" if thinks else event.name
                messages.append(Message("assistant", content))
                continue
            lines, image = ["Observation:"], None
            if event is self._events[-1]:
                lines = ["Current Observation:", *([self._short_term] if self._short_term else [])]
            if event.text is not None and texts > 0:
                texts -= 1
                lines.append(event.text)
            if event.image is not None and images > 0:
                images -= 1
                image = event.image
                lines.append("Image observation provided.")
            messages.append(Message("user", "\n".join(lines), image))
        if self.system_prompt and not icl_episodes:
            messages.append(Message("user", self.system_prompt))
        return messages[::-1]
