"""How the hand-written player learns from examples: it counts. It is no LLM, fine-tuned or not.

Of each example it uses its own reading of the prompt (see `prompt` and `policy`) and the action that the
answer names. What it learns is a table: how often the examples took which action in which situation. A
situation is what is wanted next, where the nearest such thing is, whether the way is blocked and what was
done last; a coarser one leaves out the last action, and the coarsest leaves out distances too.

A fine-tuned player uses the finest situation that the examples show often enough and takes each action with
probability proportional to the square of its count: habits grow stronger and slips rarer. Where the examples
show nothing, it plays as the base does. Bad habits grow as good ones do, and examples with shuffled
actions teach it nothing but a bias towards frequent actions.

Accuracy is measured on answers as it gives them, drawn at temperature 1: the mean probability of the actions
in the examples. On its own episodes it rises, since the tuned player slips less. The loss need not fall: the
player becomes surer of itself, and half of the actions that it learned from were slips.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from babyai_kit.atomic_files import write_atomically
from babyai_kit.environment.tasks import ACTIONS
from babyai_kit.hostile_text import parse_json
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.policy import Choice, action_chances, next_target
from babyai_kit.local.player.policy_answer import answer_fields, answer_rng, policy_answer
from babyai_kit.local.player.prompt import Prompt, parse_prompt
from babyai_kit.local.player.trainer import Player, Trainer, TrainingError, TrainingJob, TrainingLog
from babyai_kit.local.player.training_file import read_examples

MIN_COUNT = 5
"""Examples of a situation below which a coarser one is used."""
SHARPNESS = 2.0
"""Exponent on the counts at temperature 1; divided by the temperature."""
MIN_CHANCE = 0.01
"""A smaller probability counts as this one in the loss, which is infinite for what the table rules out."""
BATCHES = 5
"""Parts in which a job counts its examples; metrics are reported after each."""

Table = dict[str, list[int]]
"""Counts of ACTIONS by situation."""
TABLE_FILE = "table.json"
"""In the job's folder."""


def situations(prompt: Prompt) -> tuple[str, ...]:
    """Names of the situation in a prompt, finest first."""
    verb, target = next_target(prompt)
    blocked = "blocked" if prompt.view.blocked else "free"
    if target is None:
        return f"{verb}|unseen|{blocked}|{prompt.last_action}", f"{verb}|unseen|{blocked}"
    right, forward = target.place
    near = "near" if abs(right) + abs(forward) == 1 else "far"
    place = f"{verb}|{right}|{forward}|{blocked}"
    return f"{place}|{prompt.last_action}", place, f"{verb}|{_sign(right)}|{_sign(forward)}|{near}|{blocked}"


def probabilities(table: Mapping[str, Sequence[int]], prompt: Prompt, temperature: float) -> list[float]:
    """Of each of ACTIONS; empty where the table has too few examples of the situation."""
    for name in situations(prompt):
        counts = table.get(name, ())
        if sum(counts) >= MIN_COUNT:
            highest = max(counts)
            if temperature == 0:
                return [float(i == counts.index(highest)) for i in range(len(ACTIONS))]
            weights = [(count / highest) ** (SHARPNESS / temperature) for count in counts]
            return [weight / sum(weights) for weight in weights]
    return []


def table_answer(table: Mapping[str, Sequence[int]], request: ChatRequest) -> str:
    """An answer by the table, or the base's where the table has nothing to say."""
    prompt = parse_prompt(request.messages)
    chances = probabilities(table, prompt, request.temperature)
    if not chances:
        return policy_answer(request)
    (action,) = answer_rng(request).choices(ACTIONS, chances)
    choice = Choice(action, f"In such a place the examples mostly {action}, or often enough.")
    return json.dumps(answer_fields(choice, prompt.wants_thinking, request.schema))


class TableTrainer(Trainer):
    """Serves and fine-tunes the hand-written player under the names `models` (see the module)."""

    owner = "babyai-kit (hand-written policy, no LLM)"
    fingerprint = "offline-player-no-LLM"
    resumable = True  # a job takes a second and depends on nothing but its files

    def __init__(self, models: Iterable[str]) -> None:
        self.models = tuple(models)

    def player(self, model: str, folder: Path | None) -> Player:
        return policy_answer if folder is None else partial(table_answer, _load(folder))

    async def train(self, job: TrainingJob, log: TrainingLog) -> None:
        table = _load(job.base_folder) if job.base_folder else {}
        training = await asyncio.to_thread(_read_actions, job.training_file)
        if not training:
            raise TrainingError("No example ends with one of the six actions, all that this model can learn")
        validation = []
        if job.validation_file:
            validation = await asyncio.to_thread(_read_actions, job.validation_file)
        random.Random(job.seed).shuffle(training)
        size = math.ceil(len(training) / BATCHES)
        for start in range(0, len(training), size):
            batch = training[start : start + size]
            metrics = await asyncio.to_thread(_learn, table, batch, validation)
            log.metrics(start + len(batch), **metrics)
        write_atomically(job.folder / TABLE_FILE, json.dumps(table))


def _learn(
    table: Table, batch: Sequence[tuple[Prompt, int]], validation: Sequence[tuple[Prompt, int]]
) -> dict[str, float]:
    """Count a batch into the table; returns the metrics after it."""
    for prompt, action in batch:
        for name in situations(prompt):
            table.setdefault(name, [0] * len(ACTIONS))[action] += 1
    return _metrics("train", table, batch) | _metrics("valid", table, validation)


def _load(folder: Path) -> Table:
    return json.loads((folder / TABLE_FILE).read_text(encoding="utf-8"))


def _read_actions(path: Path) -> list[tuple[Prompt, int]]:
    """Prompt and index of the action, of the answers to be learned that name one."""
    pairs = []
    for example in read_examples(path, min_examples=1):
        for prompt, text in example.turns():
            try:
                answer: Any = parse_json(text)
            except ValueError:
                continue
            action = answer.get("action") if isinstance(answer, dict) else None
            if isinstance(action, str) and action in ACTIONS:
                pairs.append((parse_prompt(prompt), ACTIONS.index(action)))
    return pairs


def _metrics(name: str, table: Table, examples: Sequence[tuple[Prompt, int]]) -> dict[str, float]:
    """Mean loss in nats and mean probability of the examples' actions at temperature 1; empty without any."""
    if not examples:
        return {}
    chances = [
        (probabilities(table, prompt, 1.0) or action_chances(prompt))[action] for prompt, action in examples
    ]
    loss = -sum(math.log(max(chance, MIN_CHANCE)) for chance in chances)
    return {
        f"{name}_loss": loss / len(examples),
        f"{name}_mean_token_accuracy": sum(chances) / len(examples),
    }


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
