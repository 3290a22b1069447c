"""The learner's three rounds, several times over, with controls: what it gains on unseen seeds.

Plays straight in the environment (see rollouts), at temperature 1. Per training seed: a base model, then
rounds of collecting on train seeds, keeping the best successes and fine-tuning; every model plays the test
seeds. From the same base, two controls: fine-tuned on failures, and on the first round's examples with
shuffled actions. Episodes are written as they are played (--episodes), so that nothing measured is lost.
`make bench-learner` runs it: about 10 minutes of one core per training seed.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from pathlib import Path

import pandas as pd
import torch
from rollouts import Episode, play_episodes
from selection import BestRecords, keep_best, shuffle_actions, to_record

from babyai_kit.environment import TASKS
from babyai_kit.environment.tasks import MAX_STEPS
from babyai_kit.local.learner.base_model import BaseRecipe, build_base_model
from babyai_kit.local.learner.model import Transformer
from babyai_kit.local.learner.training import Recipe, train
from babyai_kit.local.learner.windows import Record, Windows
from babyai_kit.runs.references import reference_episodes
from babyai_kit.stats import compare, estimates

TEST = range(1000, 1100)
EPOCHS = 8
CONTROL_EPISODES = 60


class EvaluationEpisodes:
    """The episodes on the test block so far, in memory and on disk."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows: list[dict[str, object]] = []

    def add(self, agent: str, training_seed: int, episodes: list[Episode], cost_s: float) -> None:
        self.rows += [
            {
                **{"run": "learner", "variant": agent, "model": "learner", "status": "ok", "num_dists": 0},
                **{"task": e.task, "seed": e.seed, "repeat": training_seed, "history_length": 2},
                **{"success": e.success, "episode_return": e.episode_return, "episode_length": len(e.turns)},
                **{
                    "max_steps": MAX_STEPS[e.task],
                    "cost_s": cost_s,
                    "variant_digest": "",
                    "cost_usd": math.nan,
                },
                **dict.fromkeys(("shortest_length", "input_tokens", "output_tokens"), math.nan),
            }
            for e in episodes
        ]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self.table.to_csv(self._file, index=False)
        rate = 100 * sum(e.success for e in episodes) / len(episodes)
        print(f"seed {training_seed} {agent}: {rate:.1f}% ({cost_s:.0f} s)", flush=True)

    @property
    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows)


def fine_tune(model: Transformer, records: list[Record], seed: int) -> Transformer:
    tuned = copy.deepcopy(model)
    for _ in train(tuned, Windows(records), Recipe(epochs=EPOCHS, seed=seed)):
        pass
    return tuned


def rounds(training_seed: int, args: argparse.Namespace, evaluation: EvaluationEpisodes) -> None:
    def measure(agent: str, model: Transformer, cost_s: float) -> None:
        plan = [(task, seed, 0) for seed in TEST[: args.test] for task in TASKS]
        evaluation.add(agent, training_seed, play_episodes(model, plan, seed=training_seed), cost_s)

    started = time.perf_counter()
    base = model = build_base_model(BaseRecipe(seed=training_seed))
    measure("base", base, time.perf_counter() - started)
    best: BestRecords = {}
    for number in range(1, args.rounds + 1):
        started = time.perf_counter()
        plan = [(t, s, i) for s in range(args.train) for t in TASKS for i in range(args.repeats)]
        collected = play_episodes(model, plan, seed=1000 * training_seed + number)
        best = keep_best(best, collected)
        model = fine_tune(model, list(best.values()), training_seed)
        measure(f"round {number}", model, time.perf_counter() - started)
        if number == 1:
            failures = [e for e in collected if not e.success]
            chosen = random.Random(training_seed).sample(failures, min(CONTROL_EPISODES, len(failures)))
            of_failures = fine_tune(base, [to_record(e) for e in chosen], training_seed)
            measure("failures", of_failures, 0.0)
            of_shuffled = fine_tune(base, shuffle_actions(list(best.values()), training_seed), training_seed)
            measure("shuffled", of_shuffled, 0.0)


def report(episodes: pd.DataFrame) -> list[dict[str, object]]:
    """Per agent, over all tasks and each: success, return, length; and the paired gain over the base."""
    gain = compare(episodes, "base", measures=["success"])
    rows = []
    for agent in episodes["variant"].unique():
        own = episodes[episodes["variant"] == agent]
        overall = estimates(own, "success").iloc[0]
        row = {"agent": agent, "success": 100 * overall["value"]}
        row |= {"low": 100 * overall["low"], "high": 100 * overall["high"]}
        row |= {task: 100 * own[own["task"] == task]["success"].mean() for task in TASKS}
        row |= {"return": own["episode_return"].mean(), "length": own["episode_length"].mean()}
        for difference in gain[(gain["variant"] == agent) & (gain["task"] == "all tasks")].to_dict("records"):
            row |= {
                f"gain {name}": 100 * difference[key]
                for name, key in (("", "difference"), ("low", "low"), ("high", "high"))
            }
        per_seed = own.groupby("repeat")["success"].mean() * 100
        rows.append(row | {"of each training seed": " ".join(f"{rate:.1f}" for rate in per_seed)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--episodes", type=Path, default=Path("results/bench/learner_episodes.csv"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="training seeds")
    parser.add_argument("--train", type=int, default=100, help="train seeds, from 0 up")
    parser.add_argument("--test", type=int, default=100, help="test seeds, from 1000 up; at most 100")
    parser.add_argument("--repeats", type=int, default=2, help="samples of each train episode per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; more help on idle cores only")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    evaluation = EvaluationEpisodes(args.episodes)
    for training_seed in args.seeds:
        rounds(training_seed, args, evaluation)
    references = reference_episodes(TEST[: args.test])
    rows = report(pd.concat([evaluation.table, references], ignore_index=True))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
