"""What the language model of this machine learns, on unseen seeds: from its own experience, from the expert.

Plays straight in the environment (see rollouts). Every part is measured on the test block, greedily and at
temperature 0.7, since a half-trained model that plays greedily walks in circles. Parts:

own       goto and pickup: successes of uniformly random play on train seeds, the shortest of each start,
          without the steps that led nowhere; and controls: as many steps of failures, and the same steps with
          shuffled actions
again     goto and pickup: the model of `own` plays the train seeds itself, and goes on with the shortest
          success of each start, those of random play among them
low-rank  goto and pickup: the same successes by low-rank updates (LoRA), as many decisions
expert    all tasks: demonstrations, with memory (dialogue) and without (baseline), trained equally long
further   the model with memory goes on with other demonstrations, the long tasks twice as often
rounds    all tasks, with memory, no expert: from random successes on (a hundred tries at each start cost
          next to nothing), rounds of the model's own play with some random actions, first of the starts that
          were never won; the shortest success of each start is kept over all rounds

Results and weights are written part by part under --folder, and the same command goes on where it stopped.
`make bench-llm` runs it; one thread of PyTorch, CPU minutes as the table says.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from lessons import BestLessons, Lesson, all_of, examples_of, keep_best, shuffled
from rollouts import Episode, Prompts, demonstrate, play, play_at_random

from babyai_kit.environment import TASKS
from babyai_kit.local.language_model.library import Library
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.packing import Example
from babyai_kit.local.language_model.training import Recipe, Training
from babyai_kit.stats.estimators import wilson

EASY, LONG = ("goto", "pickup"), ("putnext", "pick_up_seq_go_to")
TRAIN_SEEDS, TEST_SEED, DEMONSTRATION_SEED = 200, 1000, 10_000
TEMPERATURES = (0.0, 0.7)
CALIBRATION_UPDATES = 8
LOW_RANK, LOW_RANK_RATES = 16, (5e-4, 2e-3)


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


def train_plan(
    tasks: Sequence[str], repeats: int = 1, seeds: int = TRAIN_SEEDS
) -> list[tuple[str, int, int]]:
    return [(task, seed, n) for n in range(repeats) for seed in range(seeds) for task in tasks]


def random_play(study: Study) -> tuple[list[Episode], BestLessons]:
    """Random episodes of the easy tasks, and what they teach."""
    plan = train_plan(EASY, study.args.random_repeats)
    episodes = list(play_at_random(plan, chance=str(study.seed)))
    return episodes, keep_best({}, episodes)


def own(study: Study) -> None:
    """Random play's successes, and the controls."""
    study.measure("untuned", "baseline", EASY)
    episodes, won = random_play(study)
    best = list(won.values())
    steps = sum(len(numbers) for _, numbers in best)
    failures = [episode for episode in episodes if not episode.success]
    random.Random(study.seed).shuffle(failures)
    bad: list[Lesson] = []
    while sum(len(numbers) for _, numbers in bad) < steps:
        bad.append(all_of(failures.pop()))
    for name, lessons in (("own", best), ("failures", bad), ("shuffled", shuffled(best, study.seed))):
        study.train(name, lambda lessons=lessons: lessons, "baseline", decisions=study.args.decisions)
        study.measure(name, "baseline", EASY)


def again(study: Study) -> None:
    """On from random play's successes: the model's own play."""
    _, won = random_play(study)
    plan, chance = train_plan(EASY), f"again {study.seed}"
    explore = partial(_explore, study, "own", Prompts("baseline"), won, chance, plan, 0.0)
    lessons = list(study.collected("experience-again", explore).values())
    decisions = study.args.again_decisions
    study.train("again", lambda: lessons, "baseline", decisions=decisions, base="own")
    study.measure("again", "baseline", EASY)


def low_rank(study: Study) -> None:
    """Random play's successes, learned by low-rank updates at each of some learning rates."""
    _, won = random_play(study)
    best = list(won.values())
    for rate in LOW_RANK_RATES:
        name = f"low-rank-at-{rate:g}"
        recipe = Recipe(rank=LOW_RANK, learning_rate=rate)
        study.train(name, lambda: best, "baseline", decisions=study.args.decisions, recipe=recipe)
        study.measure(name, "baseline", EASY)


def expert(study: Study) -> None:
    """Imitation of all tasks, with memory and without."""
    seeds = range(DEMONSTRATION_SEED, DEMONSTRATION_SEED + study.args.demonstrations)
    plan = [(task, seed, study.seed) for task in TASKS for seed in seeds]
    for variant in ("dialogue", "baseline"):
        name = f"expert-{variant}"
        study.train(
            name,
            lambda: [all_of(episode) for episode in demonstrate(plan, noise=0.15)],
            variant,
            minutes=study.args.expert_minutes,
        )
        study.measure(name, variant)


def further(study: Study) -> None:
    """Imitation with memory, trained on."""
    first = DEMONSTRATION_SEED + study.args.demonstrations
    seeds = range(first, first + study.args.demonstrations)
    tasks = (*TASKS, *LONG)
    study.train(
        "expert-dialogue-further",
        lambda: [
            all_of(episode)
            for episode in demonstrate(
                [(task, seed, study.seed + n) for n, task in enumerate(tasks) for seed in seeds], noise=0.15
            )
        ],
        "dialogue",
        minutes=study.args.further_minutes,
        base="expert-dialogue",
    )
    study.measure("expert-dialogue-further", "dialogue")


def rounds(study: Study) -> None:
    """All tasks from own experience alone, in rounds."""
    variant, chance, starts = "dialogue", f"rounds {study.seed}", study.args.round_starts
    at_random = train_plan(TASKS, study.args.round_repeats, starts)
    best = study.collected("experience-0", lambda: keep_best({}, play_at_random(at_random, chance=chance)))
    latest = "untuned"
    for number in range(1, study.args.rounds + 1):
        won = Counter(task for task, _ in best)
        study.say(f"of {starts} starts of each task, won so far: {dict(won)}")
        name, lessons = f"round-{number}", list(best.values())
        minutes = study.args.round_minutes
        study.train(name, lambda lessons=lessons: lessons, variant, minutes=minutes, base=latest)
        last = number == study.args.rounds
        study.measure(name, variant, temperatures=TEMPERATURES if last else TEMPERATURES[1:])
        latest = name
        if not last:
            seeds = {t: sorted(range(starts), key=lambda s, t=t: (t, s) in best) for t in TASKS}
            plan = [(task, seeds[task][n], 0) for n in range(study.args.round_seeds) for task in TASKS]
            explore = partial(_explore, study, name, Prompts(variant), best, f"{chance} {number}", plan, 0.1)
            best = study.collected(f"experience-{number}", explore)


def _explore(
    study: Study,
    name: str,
    prompts: Prompts,
    best: BestLessons,
    chance: str,
    plan: Sequence[tuple[str, int, int]],
    explore: float,
) -> BestLessons:
    """`best` and what the model `name` won of `plan`, a share `explore` of its actions at random."""
    started = time.process_time()
    model, tokenizer = study.model(name), study.library.tokenizer
    episodes = play(model, tokenizer, prompts, plan, temperature=1.0, explore=explore, chance=chance)
    minutes = (time.process_time() - started) / 60
    won = Counter(episode.task for episode in episodes if episode.success)
    study.say(f"{name} played {len(episodes)} episodes in {minutes:.1f} CPU minutes; won {dict(won)}")
    return keep_best(best, episodes)


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


PARTS = {
    "own": own,
    "again": again,
    "low-rank": low_rank,
    "expert": expert,
    "further": further,
    "rounds": rounds,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--json", type=Path)
    flag("--folder", type=Path, default=Path("results/bench/llm"))
    flag("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    flag("--seeds", type=int, nargs="+", default=[0, 1], help="training seeds")
    flag("--test", type=int, default=100, help="test seeds")
    flag("--random-repeats", type=int, default=4, help="random episodes of each start")
    flag("--decisions", type=int, default=2600, help="trained on in the part own")
    flag("--again-decisions", type=int, default=4500, help="trained on in the part again")
    flag("--demonstrations", type=int, default=400, help="of each task")
    flag("--expert-minutes", type=float, default=30, help="CPU minutes of each training in the part expert")
    flag("--further-minutes", type=float, default=30, help="CPU minutes of the part further")
    flag("--rounds", type=int, default=3)
    flag("--round-starts", type=int, default=400, help="train seeds of each task in the part rounds")
    flag("--round-repeats", type=int, default=100, help="random episodes of each start in the part rounds")
    flag("--round-seeds", type=int, default=60, help="train seeds of each task that a round's model plays")
    flag("--round-minutes", type=float, default=20, help="CPU minutes of each training in the part rounds")
    flag("--threads", type=int, default=1, help="of PyTorch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for part in args.parts:
        for seed in args.seeds:
            PARTS[part](Study(args.folder, seed, args))
    rows = report(args.folder)
    print(rows.round(1).to_string(index=False))
    if args.json:
        args.json.write_text(rows.to_json(orient="records", indent=2))


if __name__ == "__main__":
    main()
