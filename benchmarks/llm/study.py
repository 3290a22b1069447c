"""A study of one training seed: models that are trained, kept and played, and what they come to.

Knows nothing of which lessons teach which model (see parts).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from lessons import BestLessons, Lesson, examples_of
from rollouts import Episode, Prompts, play

from babyai_kit.environment import TASKS
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.packing import Example
from babyai_kit.local.language_model.training import Recipe, Training
from babyai_kit.stats.estimators import wilson

TEST_SEED = 1000
TEMPERATURES = (0.0, 0.7)
CALIBRATION_UPDATES = 8


class Study:
    """One training seed: models, and what they achieve, in `folder`."""

    def __init__(self, folder: Path, seed: int, args: argparse.Namespace) -> None:
        self.folder, self.seed, self.args = folder / f"seed-{seed}", seed, args
        self.library = Library()

    def model(self, name: str) -> Llama:
        """The model that `train` made, or the untuned one."""
        return self.library.open(None if name == "untuned" else self.folder / name)

    def train(
        self,
        name: str,
        lessons: Callable[[], Sequence[Lesson]],
        variant: str,
        *,
        decisions: int = 0,
        minutes: float = 0.0,
        base: str = "untuned",
        recipe: Recipe | None = None,
    ) -> None:
        """Make the model `name`, unless it is there: by `decisions`, or by as many as take CPU `minutes`."""
        if (self.folder / name / "training.json").exists():
            return
        examples = examples_of(lessons(), Prompts(variant), self.library.tokenizer)
        recipe = replace(recipe or Recipe(), seed=self.seed)
        folder = None if base == "untuned" else self.folder / base
        if minutes:
            rate = self._decisions_per_second(examples, recipe, folder)
            decisions = round(60 * minutes * rate)
        model = self.library.copy(folder)
        training = Training(model, examples, replace(recipe, epochs=decisions / len(examples)))
        started, done, tokens, losses = time.process_time(), 0, 0, []
        for update in training.run():
            done, tokens = done + update.examples, tokens + update.tokens
            losses.append(update.loss)
        spent = time.process_time() - started
        training.finish()
        self.library.save(model, self.folder / name)
        record = {"examples": len(examples), "decisions": done, "tokens": tokens, "cpu_minutes": spent / 60}
        record |= {"updates": len(losses), "loss": sum(losses[-10:]) / len(losses[-10:])}
        (self.folder / name / "training.json").write_text(json.dumps(record))
        self.say(f"{name}: {done:,} decisions of {len(examples):,} examples in {spent / 60:.1f} CPU minutes")

    def measure(
        self,
        name: str,
        variant: str,
        tasks: Sequence[str] = TASKS,
        temperatures: Sequence[float] = TEMPERATURES,
    ) -> None:
        """Play the test seeds with the model `name`, unless that was done."""
        for temperature in temperatures:
            file = self.folder / f"{name}-{variant}-at-{temperature}.csv"
            if file.exists():
                continue
            plan = [(task, TEST_SEED + n, 0) for n in range(self.args.test) for task in tasks]
            started = time.process_time()
            episodes = play(
                self.model(name),
                self.library.tokenizer,
                Prompts(variant),
                plan,
                temperature=temperature,
                chance=f"test {self.seed}",
            )
            spent = time.process_time() - started
            rows = table(episodes).assign(
                model=name, variant=variant, temperature=temperature, training_seed=self.seed
            )
            rows["decisions_per_cpu_s"] = rows["steps"].sum() / spent
            file.parent.mkdir(parents=True, exist_ok=True)
            rows.to_csv(file, index=False)
            rates = rows.groupby("task", sort=False)["success"].mean()
            self.say(f"{name}, {variant}, temperature {temperature}: {rates.round(2).to_dict()}")

    def collected(self, name: str, collect: Callable[[], BestLessons]) -> BestLessons:
        """What `collect` returns, which is kept."""
        file = self.folder / f"{name}.pt"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(collect(), file)
        kept: BestLessons = torch.load(file, weights_only=False)
        return kept

    def _decisions_per_second(self, examples: Sequence[Example], recipe: Recipe, base: Path | None) -> float:
        training = Training(self.library.copy(base), examples, recipe)
        started, done = time.process_time(), 0
        for number, update in enumerate(training.run(), start=1):
            done += update.examples
            if number == CALIBRATION_UPDATES:
                break
        return done / (time.process_time() - started)

    def say(self, line: str) -> None:
        print(f"seed {self.seed}: {line}", flush=True)


def table(episodes: Sequence[Episode]) -> pd.DataFrame:
    """A row per episode: task, seed, success, steps, episode_return."""
    return pd.DataFrame(
        [
            {
                "task": e.task,
                "seed": e.seed,
                "success": e.success,
                "steps": len(e.steps),
                "episode_return": e.episode_return,
            }
            for e in episodes
        ]
    )


def report(folder: Path) -> pd.DataFrame:
    """Success in percent by model, variant, temperature and task, over all training seeds, with intervals.

    The unit is the episode of one training seed: Wilson's interval.
    """
    files = sorted(folder.glob("seed-*/*.csv"))
    if not files:
        return pd.DataFrame()
    episodes = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    keys = ["model", "variant", "temperature", "task"]
    rows = []
    for key, group in episodes.groupby(keys, sort=False):
        won, of_seeds = int(group["success"].sum()), group.groupby("training_seed")["success"].mean()
        low, high = wilson(won, len(group))
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"success": 100 * won / len(group), "low": 100 * low, "high": 100 * high}
            | {"episodes": len(group), "steps": group["steps"].mean()}
            | {"of each training seed": " ".join(f"{100 * rate:.0f}" for rate in of_seeds)}
            | {"decisions/CPU s": group["decisions_per_cpu_s"].mean()}
        )
    return pd.DataFrame(rows)
