"""The parts of the benchmark: what teaches which model, and on what it is measured.

own       goto and pickup: successes of uniformly random play on train seeds, the shortest of each start,
          without the steps that led nowhere; and controls: as many steps of failures, and the same steps with
          shuffled actions
again     goto and pickup: the model of `own` plays the train seeds itself, and goes on with the shortest
          success of each start, those of random play among them
low-rank  goto and pickup: the same successes by low-rank updates (LoRA), as many decisions
expert    all tasks: demonstrations, with memory (dialogue, or history) and without (baseline), each trained
          equally long
further   the model with memory goes on with other demonstrations, the long tasks twice as often
rounds    all tasks, with memory, no expert: from random successes on (a hundred tries at each start cost
          next to nothing), rounds of the model's own play with some random actions, first of the starts that
          were never won; the shortest success of each start is kept over all rounds
longer    the first model of `rounds` is trained on with random play alone, as long as a round takes
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

from lessons import BestLessons, Lesson, all_of, keep_best, shuffled
from rollouts import Episode, Prompts, demonstrate, play, play_at_random
from study import TEMPERATURES, Study

from babyai_kit.environment import TASKS
from babyai_kit.local.language_model.training import Recipe

EASY, LONG = ("goto", "pickup"), ("putnext", "pick_up_seq_go_to")
TRAIN_SEEDS, DEMONSTRATION_SEED = 200, 10_000
LOW_RANK, LOW_RANK_RATES = 16, (5e-4, 2e-3)


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
    for variant in study.args.variants:
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
    chance, starts, best = f"rounds {study.seed}", study.args.round_starts, _random_best(study)
    latest = "untuned"
    for number in range(1, study.args.rounds + 1):
        won = Counter(task for task, _ in best)
        study.say(f"of {starts} starts of each task, won so far: {dict(won)}")
        name, lessons = f"round-{number}", list(best.values())
        minutes = study.args.round_minutes
        study.train(name, lambda lessons=lessons: lessons, "dialogue", minutes=minutes, base=latest)
        last = number == study.args.rounds
        study.measure(name, "dialogue", temperatures=TEMPERATURES if last else TEMPERATURES[1:])
        latest = name
        if not last:
            seeds = {t: sorted(range(starts), key=lambda s, t=t: (t, s) in best) for t in TASKS}
            plan = [(task, seeds[task][n], 0) for n in range(study.args.round_seeds) for task in TASKS]
            explore = partial(
                _explore, study, name, Prompts("dialogue"), best, f"{chance} {number}", plan, 0.1
            )
            best = study.collected(f"experience-{number}", explore)


def longer(study: Study) -> None:
    """What a round is measured against: the same time spent on training alone."""
    lessons = list(_random_best(study).values())
    minutes = study.args.longer_minutes
    study.train("longer", lambda: lessons, "dialogue", minutes=minutes, base="round-1")
    study.measure("longer", "dialogue")


def _random_best(study: Study) -> BestLessons:
    """What random play of all tasks teaches; a hundred tries at each start."""
    plan, chance = (
        train_plan(TASKS, study.args.round_repeats, study.args.round_starts),
        f"rounds {study.seed}",
    )
    return study.collected("experience-0", lambda: keep_best({}, play_at_random(plan, chance=chance)))


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


PARTS = {
    "own": own,
    "again": again,
    "low-rank": low_rank,
    "expert": expert,
    "further": further,
    "rounds": rounds,
    "longer": longer,
}
