"""From the chat examples of a training file to the records that are learnt from.

Knows chat examples and turns; no tokens, no model. Examples of consecutive steps show each other's steps in
their history; such are joined, so that one pass of the model learns them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from babyai_kit.local.learner.tokenizer import Turn, answered_action, read_prompt
from babyai_kit.local.learner.windows import Record

Chat = tuple[Sequence[tuple[str, str]], str]
"""(role, text) messages and the answer to them."""


@dataclass
class _Story:
    """A record that may go on."""

    mission: str
    turns: list[Turn] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)

    def shares(self, mission: str, history: Sequence[Turn]) -> int:
        """How many of the first turns of `history` are the last ones here; 0: it is another story."""
        if mission == self.mission:
            for shared in range(min(len(history), len(self.turns)), 0, -1):
                if self.turns[-shared:] == list(history[:shared]):
                    return shared
        return 0

    def add(self, turn: Turn, learn: bool) -> None:
        self.turns.append(turn)
        self.learn.append(learn)

    @property
    def record(self) -> Record:
        return Record(self.mission, tuple(self.turns), tuple(self.learn))


def read_records(examples: Iterable[Chat]) -> Iterator[Record]:
    """Records of the examples, in their order. Those whose answer names no action are left out."""
    story = _Story("")
    for messages, answer in examples:
        action = answered_action(answer)
        if action is None:
            continue
        prompt = read_prompt(messages)
        shared = story.shares(prompt.mission, prompt.history)
        if not shared:
            if story.turns:
                yield story.record
            story = _Story(prompt.mission)
        for turn in prompt.history[shared:]:
            story.add(turn, False)
        story.add(Turn(prompt.observation, action), True)
    if story.turns:
        yield story.record
