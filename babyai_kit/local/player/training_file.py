"""Training files: JSONL in OpenAI's chat form, checked and read.

Knows the form of a file and of its lines; nothing of what they say. An example is a conversation that
ends with the assistant's message, which is what is to be learned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from babyai_kit.local.player.chat_request import ProtocolError, parse_messages
from babyai_kit.local.player.trainer import TrainingError
from babyai_kit.tokens import PRIMING, count_prompt

FEWEST = 10
"""Examples that a training file needs at least, as at OpenAI."""


@dataclass(frozen=True)
class Example:
    """A prompt as (role, text) messages and the answer to it."""

    prompt: tuple[tuple[str, str], ...]
    answer: str

    @property
    def tokens(self) -> int:
        return count_prompt((*self.prompt, ("assistant", self.answer))) - PRIMING


def read_examples(file: Path, *, fewest: int = FEWEST, param: str = "training_file") -> tuple[Example, ...]:
    """Every example of a JSONL file, in order. Blocks.

    Raises TrainingError, worded as OpenAI words it and naming the line, for a file that is not of this
    form or holds fewer than `fewest` examples. `param` names the file in the error.
    """
    examples = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    examples.append(_example(line))
                except (ValueError, RecursionError, ProtocolError) as error:
                    raise TrainingError(
                        f"The job failed due to an invalid {param.replace('_', ' ')}. Invalid file format. "
                        f"Line {number}: {error}",
                        code=f"invalid_{param}",
                        param=param,
                    ) from None
    if len(examples) < fewest:
        raise TrainingError(
            f"{param.replace('_', ' ').capitalize()} has {len(examples)} example(s), but must have at least "
            f"{fewest} examples",
            code="invalid_n_examples",
            param=param,
        )
    return tuple(examples)


def _example(line: bytes) -> Example:
    try:
        row = json.loads(line)
    except ValueError:
        raise ValueError("not valid JSON") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    if "messages" not in row:
        raise ValueError("missing key 'messages'")
    messages = parse_messages(row["messages"])
    role, answer = messages[-1]
    if role != "assistant":
        raise ValueError("the last message must be from the assistant")
    if not answer:
        raise ValueError("the last message has no text")
    if len(messages) < 2:
        raise ValueError("nothing comes before the assistant's message")
    return Example(messages[:-1], answer)
