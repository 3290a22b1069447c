"""Training files: curated examples as OpenAI chat JSONL, split, checked against OpenAI's limits and written.

A folder holds train.jsonl, validation.jsonl (unless nothing is split off) and, written last, export.json:
where the examples come from and the digests of the files, so that a launch notices later changes to them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from babyai_kit.atomic_files import write_atomically, write_json_atomically
from babyai_kit.errors import InputError
from babyai_kit.finetune.curation import Curation
from babyai_kit.finetune.examples import Example
from babyai_kit.hostile_text import parse_json
from babyai_kit.runs.seed_blocks import check_block
from babyai_kit.tokens import PRIMING, count_prompt

MIN_EXAMPLES = 10
MAX_TOKENS = 65_536
"""Of one example: what OpenAI's small models accept in training."""
MAX_BYTES = 512 * 1024**2
ROLES = ("system", "developer", "user", "assistant")


@dataclass(frozen=True)
class Export:
    """Training files on disk."""

    folder: Path
    variant: str
    model: str
    """The base that is fine-tuned, unless another is named."""
    seeds: tuple[int, ...]
    """All within the train block."""
    examples: int
    validation_examples: int
    tokens: int
    """Of one pass through the training file, as OpenAI's gpt-4o family counts them."""
    digests: dict[str, str]
    """SHA-256 by file name."""

    @property
    def training_file(self) -> Path:
        return self.folder / "train.jsonl"

    @property
    def validation_file(self) -> Path | None:
        return self.folder / "validation.jsonl" if self.validation_examples else None


def chat_row(example: Example) -> dict[str, Any]:
    """The example as a line of a training file.

    Of the assistant's messages only the last is learned from. Those before it are the last of other examples,
    or not worth one, such as what stands in place of an invalid answer.
    """
    prompt = [
        {"role": role, "content": text, **({"weight": 0} if role == "assistant" else {})}
        for role, text in example.prompt
    ]
    return {"messages": [*prompt, {"role": "assistant", "content": example.answer}]}


def export(
    curation: Curation, folder: str | Path, *, validation_fraction: float = 0.2, seed: int = 0
) -> Export:
    """Write the examples of `curation` as training files under `folder`, replacing any that are there.

    About `validation_fraction` (0 to 0.5) of the seeds, drawn by `seed`, go to the validation file, each
    with all its episodes: episodes of one seed can start alike. Raises InputError if the files would be
    refused (too few examples, an example that is too long, a wrong role) or hold a seed outside the train
    block.
    """
    if not 0 <= validation_fraction <= 0.5:
        raise InputError(f"validation_fraction {validation_fraction!r} is not in range; use 0 to 0.5")
    check_block(curation.seeds, "train", "training")
    seeds = list(curation.seeds)
    held_out = set(random.Random(seed).sample(seeds, round(len(seeds) * validation_fraction)))
    parts = {
        "train.jsonl": [e for e in curation.examples if e.seed not in held_out],
        "validation.jsonl": [e for e in curation.examples if e.seed in held_out],
    }
    rows = {name: [chat_row(e) for e in part] for name, part in parts.items()}
    tokens = check_rows(rows["train.jsonl"], "train.jsonl")
    if held_out:
        check_rows(rows["validation.jsonl"], "validation.jsonl", min_examples=1)
    contents = {name: _jsonl(part) for name, part in rows.items() if part}
    for name, content in contents.items():
        if len(content) > MAX_BYTES:
            raise InputError(f"{name} is larger than {MAX_BYTES // 1024**2} MB; lower max_per_task")
    folder = Path(folder)
    for name in ("export.json", *rows):
        (folder / name).unlink(missing_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    result = Export(
        folder=folder,
        variant=curation.variant,
        model=curation.model,
        seeds=curation.seeds,
        examples=len(rows["train.jsonl"]),
        validation_examples=len(rows["validation.jsonl"]),
        tokens=tokens,
        digests={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )
    record = asdict(result) | {
        "folder": None,
        "runs": curation.runs,
        "counts": curation.counts.to_dict("list"),
    }
    write_json_atomically(folder / "export.json", record)
    return result


def _jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def read_export(folder: str | Path) -> Export:
    """The export under `folder`, checked again, since this is what will be paid for.

    Raises InputError if it is incomplete, was changed, or holds a seed outside the train block.
    """
    folder = Path(folder)
    try:
        record = parse_json((folder / "export.json").read_text(encoding="utf-8"))
        fields = {name: record[name] for name in Export.__dataclass_fields__}
        result = Export(**fields | {"folder": folder, "seeds": tuple(record["seeds"])})
        contents = {name: (folder / name).read_bytes() for name in result.digests}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} has no complete export ({type(error).__name__}); export the examples again"
        ) from None
    check_block(result.seeds, "train", "training")
    for name, digest in result.digests.items():
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise InputError(f"{folder / name} was changed after its export; export the examples again")
        min_examples = MIN_EXAMPLES if name == "train.jsonl" else 1
        check_rows(read_rows(folder / name), name, min_examples=min_examples)
    return result


def read_rows(file: Path) -> list[Any]:
    """The lines of a JSONL file. Raises InputError, with the line number, for a line that is not JSON."""
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                rows.append(parse_json(line))
            except ValueError:
                raise InputError(f"{file}, line {number} is not JSON; export the examples again") from None
    return rows


def check_rows(rows: Sequence[Any], name: str, *, min_examples: int = MIN_EXAMPLES) -> int:
    """Check the lines of a training file as the provider will; returns their tokens.

    Raises InputError for too few examples and, with the line number, for a form or role that would be refused
    or an example that is too long.
    """
    if len(rows) < min_examples:
        raise InputError(
            f"{name} would hold {len(rows)} examples but needs at least {min_examples}; curate more episodes "
            "or lower validation_fraction"
        )
    total = 0
    for number, row in enumerate(rows, start=1):
        tokens = count_prompt(_messages(row, f"{name}, line {number}")) - PRIMING
        if tokens > MAX_TOKENS:
            raise InputError(
                f"{name}, line {number} has {tokens} tokens, more than {MAX_TOKENS}; lower history_length"
            )
        total += tokens
    return total


def _messages(row: Any, place: str) -> list[tuple[str, str]]:
    """(role, text) of a line's messages."""
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or len(messages) < 2:
        raise InputError(f"{place} is not a conversation; export the examples again")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise InputError(f"{place} has a message with an invalid role; use one of {', '.join(ROLES)}")
        if not isinstance(message.get("content"), str) or not message["content"]:
            raise InputError(f"{place} has a message without text; leave that step out")
    if messages[-1]["role"] != "assistant":
        raise InputError(f"{place} does not end with the assistant's answer; export the examples again")
    return [(message["role"], message["content"]) for message in messages]
