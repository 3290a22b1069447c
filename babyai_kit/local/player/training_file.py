"""Training files: JSONL in OpenAI's chat form, validated and read.

An example is a conversation that ends with the assistant's message. Each of the assistant's messages is to be
learned, but for those with `weight` 0, as at OpenAI.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from babyai_kit.hostile_text import parse_json
from babyai_kit.local.player.protocol import ProtocolError
from babyai_kit.local.player.trainer import TrainingError
from babyai_kit.tokens import PRIMING, count_prompt

MIN_EXAMPLES = 10
"""Examples that a training file must have, as at OpenAI."""


Messages = tuple[tuple[str, str], ...]
"""(role, text) pairs."""


@dataclass(frozen=True)
class Example:
    """A conversation. `learned`: for each of its messages, whether it is to be learned."""

    messages: Messages
    learned: tuple[bool, ...]

    @property
    def prompt(self) -> Messages:
        """All messages but the last."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The last message's text."""
        return self.messages[-1][1]

    def turns(self) -> Iterator[tuple[Messages, str]]:
        """Every message that is to be learned, as the prompt before it and its text."""
        for number, learned in enumerate(self.learned):
            if learned:
                yield self.messages[:number], self.messages[number][1]

    @cached_property
    def tokens(self) -> int:
        return count_prompt(self.messages) - PRIMING


def read_examples(
    path: Path, *, min_examples: int = MIN_EXAMPLES, param: str = "training_file"
) -> tuple[Example, ...]:
    """Every example of a JSONL file, in order. Blocks.

    Raises TrainingError, worded as at OpenAI and naming the line, for a file that does not have this form or
    has fewer than `min_examples` examples. `param` names the file in the error.
    """
    name = param.replace("_", " ")
    examples = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    examples.append(_example(line))
                except (ValueError, RecursionError, ProtocolError) as error:
                    reason = f"Invalid file format. Line {number}: {error}"
                    raise TrainingError(
                        f"The job failed due to an invalid {name}. {reason}",
                        code=f"invalid_{param}",
                        param=param,
                    ) from None
    if len(examples) < min_examples:
        counts = f"{len(examples)} example(s), but must have at least {min_examples} examples"
        raise TrainingError(f"{name.capitalize()} has {counts}", code="invalid_n_examples", param=param)
    return tuple(examples)


def _example(line: bytes) -> Example:
    from babyai_kit.local.player.request_bodies import ExampleBody
    from babyai_kit.local.player.validation import validate

    try:
        row = parse_json(line)
    except ValueError:
        raise ValueError("not valid JSON") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    if "messages" not in row:
        raise ValueError("missing key 'messages'")
    body = validate(ExampleBody, row)
    messages = tuple(message.pair for message in body.messages)
    learned = tuple(message.role == "assistant" and message.weight == 1 for message in body.messages)
    role, answer = messages[-1]
    if role != "assistant":
        raise ValueError("the last message must be from the assistant")
    if not answer:
        raise ValueError("the last message has no text")
    if len(messages) < 2:
        raise ValueError("the assistant's message has nothing before it")
    if not any(learned):
        raise ValueError("every message of the assistant has weight 0, so that nothing is to be learned")
    return Example(messages, learned)
