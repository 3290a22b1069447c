"""From the chat examples of a training file to the records that the model learns from.

Examples of consecutive steps repeat each other's steps in their history. Such examples are joined, so that
one pass of the model learns them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from babyai_kit.local.learner.tokenizer import Turn, answered_action, read_prompt
from babyai_kit.local.learner.windows import Record

ChatExample = tuple[Sequence[tuple[str, str]], str]
"""(role, text) messages and the answer to them."""


@dataclass
class _OpenRecord:
    """A record that may grow."""

    mission: str
    turns: list[Turn] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)

    def overlap(self, mission: str, history: Sequence[Turn]) -> int:
        """How many of the first turns of `history` are the last ones here; 0: it is another episode."""
        if mission == self.mission:
            for length in range(min(len(history), len(self.turns)), 0, -1):
                if self.turns[-length:] == list(history[:length]):
                    return length
        return 0

    def add(self, turn: Turn, learn: bool) -> None:
        self.turns.append(turn)
        self.learn.append(learn)

    def close(self) -> Record:
        return Record(self.mission, tuple(self.turns), tuple(self.learn))


def read_records(examples: Iterable[ChatExample]) -> Iterator[Record]:
    """Records of the examples, in their order. Examples whose answer names no action are left out."""
    record = _OpenRecord("")
    for messages, answer in examples:
        action = answered_action(answer)
        if action is None:
            continue
        prompt = read_prompt(messages)
        overlap = record.overlap(prompt.mission, prompt.history)
        if not overlap:
            if record.turns:
                yield record.close()
            record = _OpenRecord(prompt.mission)
        for turn in prompt.history[overlap:]:
            record.add(turn, False)
        record.add(Turn(prompt.observation, action), True)
    if record.turns:
        yield record.close()
