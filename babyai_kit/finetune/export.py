"""Training files: curated examples as OpenAI chat JSONL, split, checked and written.

Knows the form of the files and OpenAI's limits on them; sends nothing. A folder holds train.jsonl,
validation.jsonl (unless nothing is split off) and, written last, export.json: where the examples come from
and the digests of the files, so that a launch notices what was changed afterwards.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from babyai_kit.errors import InputError
from babyai_kit.finetune.curation import Curation, Example
from babyai_kit.runs.seed_blocks import check_block
from babyai_kit.tokens import PRIMING, count_prompt

FEWEST_EXAMPLES = 10
MOST_TOKENS = 65_536
"""Of one example: what OpenAI's small models take in training."""
MOST_BYTES = 512 * 1024**2
ROLES = ("system", "developer", "user", "assistant")


@dataclass(frozen=True)
class Export:
    """Training files on disk."""

    folder: Path
    variant: str
    model: str
    """What is fine-tuned unless another is named."""
    seeds: tuple[int, ...]
    """All of the train block."""
    examples: int
    validation_examples: int
    tokens: int
    """Of the training file, once through; as OpenAI's gpt-4o family counts."""
    digests: dict[str, str]
    """SHA-256 by file name."""

    @property
    def training_file(self) -> Path:
        return self.folder / "train.jsonl"

    @property
    def validation_file(self) -> Path | None:
        return self.folder / "validation.jsonl" if self.validation_examples else None


def chat_row(example: Example) -> dict[str, Any]:
    """The example as a line of a training file."""
    said = (*example.prompt, ("assistant", example.answer))
    return {"messages": [{"role": role, "content": text} for role, text in said]}


def export(
    curation: Curation, folder: str | Path, *, validation_fraction: float = 0.2, seed: int = 0
) -> Export:
    """Write the examples of `curation` as training files under `folder`, replacing those that are there.

    About `validation_fraction` (0 to 0.5) of the seeds, drawn by `seed`, go to the validation file, each
    with all its episodes: episodes of one seed can start alike. Raises InputError if the files would be
    refused (too few examples, too long ones, wrong roles) or hold a seed outside the train block.
    """
    if not 0 <= validation_fraction <= 0.5:
        raise InputError(f"validation_fraction {validation_fraction!r} is not in range; use 0 to 0.5")
    check_block(curation.seeds, "train", "training data")
    seeds = list(curation.seeds)
    held_out = set(random.Random(seed).sample(seeds, round(len(seeds) * validation_fraction)))
    parts = {
        "train.jsonl": [e for e in curation.examples if e.seed not in held_out],
        "validation.jsonl": [e for e in curation.examples if e.seed in held_out],
    }
    rows = {name: [chat_row(e) for e in part] for name, part in parts.items()}
    tokens = check_rows(rows["train.jsonl"], "train.jsonl")
    if held_out:
        check_rows(rows["validation.jsonl"], "validation.jsonl", fewest=1)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "export.json").unlink(missing_ok=True)
    digests = {}
    for name, of_file in rows.items():
        (folder / name).unlink(missing_ok=True)
        if of_file:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in of_file).encode()
            if len(text) > MOST_BYTES:
                raise InputError(f"{name} is larger than {MOST_BYTES // 1024**2} MB; lower max_per_task")
            (folder / name).write_bytes(text)
            digests[name] = hashlib.sha256(text).hexdigest()
    made = Export(
        folder=folder,
        variant=curation.variant,
        model=curation.model,
        seeds=curation.seeds,
        examples=len(rows["train.jsonl"]),
        validation_examples=len(rows["validation.jsonl"]),
        tokens=tokens,
        digests=digests,
    )
    content = asdict(made) | {
        "folder": None,
        "runs": curation.runs,
        "counts": curation.counts.to_dict("list"),
    }
    (folder / "export.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return made


def read_export(folder: str | Path) -> Export:
    """The export under `folder`, checked again: it is what will be paid for.

    Raises InputError if it is not whole, was changed, or holds a seed outside the train block.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        fields = {name: content[name] for name in Export.__dataclass_fields__}
        made = Export(**fields | {"folder": folder, "seeds": tuple(content["seeds"])})
        files = {name: (folder / name).read_bytes() for name in made.digests}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} holds no whole export ({type(error).__name__}); export the examples again"
        ) from None
    check_block(made.seeds, "train", "training data")
    for name, digest in made.digests.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise InputError(f"{folder / name} was changed after its export; export the examples again")
        check_rows(read_rows(folder / name), name, fewest=FEWEST_EXAMPLES if name == "train.jsonl" else 1)
    return made


def read_rows(file: Path) -> list[Any]:
    """The lines of a JSONL file. Raises InputError that names a line which is not JSON."""
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError:
                raise InputError(f"{file}, line {number} is not JSON; export the examples again") from None
    return rows


def check_rows(rows: Sequence[Any], name: str, *, fewest: int = FEWEST_EXAMPLES) -> int:
    """Check the lines of a training file as the provider will; returns their tokens.

    Raises InputError, with the line, for a form or role that would be refused, an example that is too
    long, or too few examples.
    """
    if len(rows) < fewest:
        raise InputError(
            f"{name} would hold {len(rows)} examples and needs at least {fewest}; curate more episodes or "
            "lower validation_fraction"
        )
    total = 0
    for number, row in enumerate(rows, start=1):
        said = list(_said(row, f"{name}, line {number}"))
        tokens = count_prompt(said) - PRIMING
        if tokens > MOST_TOKENS:
            raise InputError(
                f"{name}, line {number} has {tokens} tokens, more than {MOST_TOKENS}; shorten history_length"
            )
        total += tokens
    return total


def _said(row: Any, where: str) -> Iterable[tuple[str, str]]:
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or len(messages) < 2:
        raise InputError(f"{where} holds no conversation; export the examples again")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise InputError(f"{where} has a message whose role is none of {', '.join(ROLES)}")
        if not isinstance(message.get("content"), str) or not message["content"]:
            raise InputError(f"{where} has a message without text; leave that step out")
        yield message["role"], message["content"]
    if messages[-1]["role"] != "assistant":
        raise InputError(f"{where} does not end with the assistant's answer; export the examples again")
