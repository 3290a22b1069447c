"""How the hand-written player learns from examples: it counts. It is no LLM, fine-tuned or not.

Knows the player's own reading of a prompt (see `prompt` and `policy`) and, of a training file, the action
that each example's answer names. What it learns is a table: in which situation the examples took which
action how often. A situation is what is wanted next, where the nearest such thing is, whether the way is
blocked and what was done last; a coarser one leaves out the last action, a third one distances.

A tuned player takes the actions of the finest situation that the examples show often enough, each with
probability proportional to its count, squared: habits grow stronger and slips rarer. Where the examples
show nothing, it plays as the base does. Bad habits grow as good ones do, and examples with shuffled
actions teach it nothing but a bias towards frequent actions.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from babyai_kit.local.player.chat_endpoint import Player
from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.completion import play, shape
from babyai_kit.local.player.policy import ACTIONS, Choice, next_target
from babyai_kit.local.player.prompt import Prompt, parse_prompt
from babyai_kit.local.player.trainer import Report, TrainingError, TrainingJob
from babyai_kit.local.player.training_file import Example, read_examples

LEAST = 5
"""Examples of a situation below which a coarser one is asked."""
SHARPNESS = 2.0
"""Exponent on the counts at temperature 1; divided by the temperature."""
REPORTS = 5
"""Times that a job tells its figures."""

Table = dict[str, list[int]]
"""Counts of ACTIONS by situation."""


def situations(prompt: Prompt) -> tuple[str, ...]:
    """Names of the situation that a prompt shows, finest first."""
    verb, target = next_target(prompt)
    blocked = "blocked" if prompt.view.blocked else "free"
    if target is None:
        return f"{verb}|unseen|{blocked}|{prompt.last_action}", f"{verb}|unseen|{blocked}"
    right, forward = target.place
    near = "near" if abs(right) + abs(forward) == 1 else "far"
    place = f"{verb}|{right}|{forward}|{blocked}"
    return f"{place}|{prompt.last_action}", place, f"{verb}|{_sign(right)}|{_sign(forward)}|{near}|{blocked}"


def probabilities(table: Mapping[str, Sequence[int]], prompt: Prompt, temperature: float) -> list[float]:
    """Of each of ACTIONS, or empty where the table knows nothing of the situation."""
    for name in situations(prompt):
        counts = table.get(name, ())
        if sum(counts) >= LEAST:
            most = max(counts)
            if temperature == 0:
                return [float(i == counts.index(most)) for i in range(len(ACTIONS))]
            weights = [(c / most) ** (SHARPNESS / temperature) for c in counts]
            return [w / sum(weights) for w in weights]
    return []


class TablePlayer:
    """Plays by a table, and as the base where that is silent."""

    def __init__(self, table: Mapping[str, Sequence[int]]) -> None:
        self._table = table

    def __call__(self, request: ChatRequest) -> str:
        prompt = parse_prompt(request.messages)
        chances = probabilities(self._table, prompt, request.temperature)
        if not chances:
            return play(request)
        rng = random.Random() if request.seed is None else random.Random(int(request.identity, 16))
        action = ACTIONS[_drawn(chances, rng.random())]
        choice = Choice(action, f"In such a place the examples mostly {action}, or often enough.")
        return json.dumps(shape(choice, prompt.wants_thinking, request.schema))


class TableTrainer:
    """Fine-tunes the hand-written player under the names `models` (see the module)."""

    resumable = True  # a job takes a second and depends on nothing but its files

    def __init__(self, models: Iterable[str]) -> None:
        self.models = tuple(models)

    def player(self, model: str, folder: Path | None) -> Player:
        return play if folder is None else TablePlayer(_load(folder))

    async def train(self, job: TrainingJob, report: Report) -> None:
        table = _load(job.base_folder) if job.base_folder else {}
        training = await asyncio.to_thread(_usable, job.training_file)
        if not training:
            raise TrainingError("No example ends with one of the six actions, all that this can learn")
        validation = await asyncio.to_thread(_usable, job.validation_file) if job.validation_file else []
        random.Random(job.seed).shuffle(training)
        size = math.ceil(len(training) / REPORTS)
        for start in range(0, len(training), size):
            batch = training[start : start + size]
            figures = await asyncio.to_thread(_learn, table, batch, validation)
            report.metrics(start + len(batch), **figures)
        (job.folder / "table.json").write_text(json.dumps(table), encoding="utf-8")


def _learn(
    table: Table, batch: Sequence[tuple[Prompt, int]], validation: Sequence[tuple[Prompt, int]]
) -> dict[str, float]:
    """Count a batch into the table; returns the figures after it."""
    for prompt, action in batch:
        for name in situations(prompt):
            table.setdefault(name, [0] * len(ACTIONS))[action] += 1
    return _figures("train", table, batch) | _figures("valid", table, validation)


def _load(folder: Path) -> Table:
    return json.loads((folder / "table.json").read_text(encoding="utf-8"))


def _usable(file: Path) -> list[tuple[Prompt, int]]:
    return list(_actions(read_examples(file, fewest=1)))


def _actions(examples: Iterable[Example]) -> Iterator[tuple[Prompt, int]]:
    """Prompt and index of the action, of the examples whose answer names one."""
    for example in examples:
        try:
            answer: Any = json.loads(example.answer)
        except ValueError:
            continue
        action = answer.get("action") if isinstance(answer, dict) else None
        if isinstance(action, str) and action in ACTIONS:
            yield parse_prompt(example.prompt), ACTIONS.index(action)


def _figures(name: str, table: Table, examples: Sequence[tuple[Prompt, int]]) -> dict[str, float]:
    """Mean loss in nats and share of examples whose action is the likeliest; empty without examples."""
    if not examples:
        return {}
    loss = right = 0.0
    for prompt, action in examples:
        chances = probabilities(table, prompt, 1.0) or [1 / len(ACTIONS)] * len(ACTIONS)
        loss -= math.log(max(chances[action], 1e-6))
        right += chances[action] == max(chances)
    return {f"{name}_loss": loss / len(examples), f"{name}_mean_token_accuracy": right / len(examples)}


def _drawn(chances: Sequence[float], chance: float) -> int:
    for index, probability in enumerate(chances):
        chance -= probability
        if chance < 0:
            return index
    return len(chances) - 1


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
