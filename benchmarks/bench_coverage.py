"""How often nominal 95% intervals cover the truth, at 20 seeds x 5 tasks.

    python benchmarks/bench_coverage.py [--json PATH] [--simulations N]

The kit's intervals (first column) beside simpler ones and those often reported: pooled episodes +/- 1 or
1.96 standard errors, and Wald's interval on one task. Printed: coverage, and in brackets the mean width; of
differences also how often a test finds one where there is none (5% promised).

The tasks' rates differ by up to two logits and have the given mean. Where seeds are alike, all episodes are
independent. Where they differ, success follows a normal variable, a fifth of whose variance the tasks of a
seed share, and three tenths more where they share the start: goto with pickup always, putnext with
pick_up_seq_go_to on 60% of the seeds. Two agents share half of it, the seeds being the same. With 4,000
simulations a coverage of .95 has a standard error of .003; the generator is fixed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

from babyai_kit.stats import (
    Difference,
    Estimate,
    bonett_price,
    bootstrap,
    clustered_success,
    mcnemar,
    paired_bootstrap,
    paired_success,
    wilson,
)

Array = NDArray[np.float64]
Interval = tuple[float, float]
Estimators = dict[str, Callable[..., Estimate | Difference | Interval]]

SEEDS = 20
MIDDLE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
EXTREME = (0.95, 0.96, 0.97, 0.98, 0.99)
RATES = (*MIDDLE, *EXTREME)
SOME_RATES = (0.1, 0.5, 0.9, 0.99)
"""For what takes long."""
PAIRS = (
    (0.1, 0.1), (0.3, 0.3), (0.5, 0.5), (0.7, 0.7), (0.9, 0.9), (0.95, 0.95), (0.99, 0.99),
    (0.2, 0.1), (0.4, 0.3), (0.6, 0.5), (0.8, 0.7), (0.9, 0.8), (0.95, 0.9), (0.99, 0.95),
)  # fmt: skip
"""Mean rates of an agent and the baseline."""
SHARED = 0.5
"""Share of the variance that two agents have in common on a seed and task."""
SPREAD = np.array([1.0, 0.5, 0.0, -0.5, -1.0])
"""Logits by which the tasks (as in babyai_kit.TASKS) are easier than the middle one."""
EFFECTS = {"alike": (0.0, 0.0), "differ": (0.2, 0.3)}
"""Shares of variance: the seed's, the start's."""
SAME_START = 0.6
SHORTEST = np.array([4.63, 5.63, 12.24, 10.04, 9.51])
MAX_STEPS = np.array([64, 64, 128, 128, 128])
TRUTH_SEEDS = 400_000
WIDTH = ", width"
TITLES = {
    "success": "success over all tasks",
    "difference in success": "difference in success over all tasks",
    "length": "episode length over all tasks",
    "difference in length": "difference in episode length over all tasks, there being none",
}


def rates_of(mean: float) -> Array:
    """The tasks' rates [5], SPREAD apart, with that mean."""
    middle = optimize.brentq(lambda x: special.expit(x + SPREAD).mean() - mean, -10, 10)
    return special.expit(middle + SPREAD)


def latent(rng: np.random.Generator, shape: tuple[int, ...], effects: str) -> Array:
    """Standard normal [*shape, 5], correlated over the tasks of a seed."""
    of_seed, of_start = EFFECTS[effects]
    start = rng.standard_normal((*shape, 5))
    start[..., 1] = start[..., 0]
    start[..., 4] = np.where(rng.random(shape) < SAME_START, start[..., 3], start[..., 4])
    seed, own = rng.standard_normal((*shape, 1)), rng.standard_normal((*shape, 5))
    return np.sqrt(of_seed) * seed + np.sqrt(of_start) * start + np.sqrt(1 - of_seed - of_start) * own


def agents(rng: np.random.Generator, shape: tuple[int, ...], effects: str) -> tuple[Array, Array]:
    """Standard normals [*shape, 5] of two agents on the same seeds."""
    common = np.sqrt(SHARED) * latent(rng, shape, effects)
    one, other = (common + np.sqrt(1 - SHARED) * latent(rng, shape, effects) for _ in range(2))
    return one, other


def successes(normal: Array, mean: float) -> Array:
    """0 or 1, in the shape [..., 5] of `normal`."""
    return (normal < special.ndtri(rates_of(mean))).astype(float)


def lengths(rng: np.random.Generator, normal: Array, mean: float, effects: str) -> Array:
    """Steps [..., 5]: a success takes a multiple of the shortest path, a failure the task's maximum."""
    detour = np.exp(0.4 + 0.5 * latent(rng, normal.shape[:-1], effects))
    return np.where(successes(normal, mean) > 0, np.minimum(np.ceil(SHORTEST * detour), MAX_STEPS), MAX_STEPS)


def pooled(times: float) -> Callable[[Array], Interval]:
    """Mean of all episodes +/- so many standard errors, as if they were independent."""

    def interval(cells: Array) -> Interval:
        half = times * cells.std(ddof=1) / np.sqrt(cells.size)
        return cells.mean() - half, cells.mean() + half

    return interval


def kit(estimator: Callable[[Array], Estimate]) -> Callable[[Array], Interval]:
    def interval(cells: Array) -> Interval:
        estimate = estimator(cells)
        return estimate.low, estimate.high

    return interval


def t_alone(cells: Array) -> Interval:
    """t over seeds, also at extreme rates; pooled Wilson only where the seeds are all equal."""
    means = cells.mean(axis=1)
    if np.ptp(means) < 1e-12:
        return wilson(means.mean() * cells.size, cells.size)
    return plain_t(means)


def plain_t(means: Array) -> Interval:
    half = T_95 * means.std(ddof=1) / np.sqrt(len(means))
    return means.mean() - half, means.mean() + half


def unpaired(a: Array, b: Array) -> Interval:
    """t over seeds, as if the two agents had played different ones."""
    means, mean = [m.mean(axis=1) for m in (a, b)], a.mean() - b.mean()
    half = T_95_TWICE * np.sqrt(sum(m.var(ddof=1) for m in means) / len(a))
    return mean - half, mean + half


def unpaired_pooled(a: Array, b: Array) -> Interval:
    """+/- 1.96 standard errors, as if all episodes were independent."""
    half, mean = 1.96 * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / a.size), a.mean() - b.mean()
    return mean - half, mean + half


def limits_of(estimate: Estimate | Difference | Interval) -> Interval:
    return estimate if isinstance(estimate, tuple) else (estimate.low, estimate.high)


T_95, T_95_TWICE = stats.t.ppf(0.975, [SEEDS - 1, 2 * SEEDS - 2])
SUCCESS: Estimators = {
    "t or Wilson over seeds (kit)": clustered_success,
    "t alone": t_alone,
    "pooled +/- 1 SE": pooled(1.0),
    "pooled +/- 1.96 SE": pooled(1.96),
    "pooled Wilson": lambda cells: wilson(cells.sum(), cells.size),
}
LENGTH: Estimators = {
    "BCa over seeds (kit)": bootstrap,
    "t over seeds": lambda cells: plain_t(cells.mean(axis=1)),
    "pooled +/- 1 SE": pooled(1.0),
    "pooled +/- 1.96 SE": pooled(1.96),
}
DIFFERENCE: Estimators = {
    "paired t (kit)": paired_success,
    "unpaired t": unpaired,
    "pooled +/- 1.96 SE": unpaired_pooled,
}
LENGTH_DIFFERENCE: Estimators = {
    "paired percentile (kit)": paired_bootstrap,
    "paired BCa": lambda a, b: bootstrap(a - b),
    "unpaired t": unpaired,
}


def coverage(drawn: Sequence[Array], truth: float, estimators: Estimators) -> dict[str, float]:
    """Share of the intervals that cover the truth, and their mean width; without a difference, p < .05.

    `drawn`: an array [simulations, seeds, 5] per agent.
    """
    row = {}
    for name, interval in estimators.items():
        estimates = [interval(*cells) for cells in zip(*drawn, strict=True)]
        limits = np.array([limits_of(estimate) for estimate in estimates])
        covers = (limits[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= limits[:, 1])
        row[name] = float(covers.mean())
        row[name + WIDTH] = float(np.ptp(limits, axis=1).mean())
        if isinstance(estimates[0], Difference):
            p = np.array([estimate.p_value for estimate in estimates])
            row["p < .05"] = float((p < 0.05).mean()) if truth == 0 else np.nan
    return row


def over_tasks(simulations: int, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Coverage of success and length over all tasks, and of their differences."""
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TITLES}
    shape = (simulations, SEEDS)
    for effects in EFFECTS:
        case: dict[str, Any] = {"seeds": effects}
        for rate in RATES:
            drawn = successes(latent(rng, shape, effects), rate)
            tables["success"].append(case | {"rate": rate} | coverage([drawn], rate, SUCCESS))
        for rate, other in PAIRS:
            both = agents(rng, shape, effects)
            drawn = [successes(normal, mean) for normal, mean in zip(both, (rate, other), strict=True)]
            shares = coverage(drawn, rate - other, DIFFERENCE)
            tables["difference in success"].append(case | {"rate": rate, "baseline": other} | shares)
        for rate in SOME_RATES:
            truth = lengths(rng, latent(rng, (TRUTH_SEEDS,), effects), rate, effects).mean()
            both = [lengths(rng, normal, rate, effects) for normal in agents(rng, shape, effects)]
            shares = coverage(both[:1], truth, LENGTH)
            tables["length"].append(case | {"rate": rate, "length": truth} | shares)
            shares = coverage(both, 0.0, LENGTH_DIFFERENCE)
            tables["difference in length"].append(case | {"rate": rate} | shares)
    return {TITLES[name]: pd.DataFrame(rows) for name, rows in tables.items()}


def wald(successes: float, n: int) -> Interval:
    p = successes / n
    half = 1.96 * np.sqrt(p * (1 - p) / n)
    return p - half, p + half


def one_task() -> pd.DataFrame:
    """Coverage of the success on one task: exact, by the binomial distribution."""
    counts = np.arange(SEEDS + 1)
    rows = []
    for rate in RATES:
        chance = stats.binom.pmf(counts, SEEDS, rate)
        row = {"rate": rate}
        for name, interval in (("Wilson", wilson), ("Wald", wald)):
            limits = np.array([interval(count, SEEDS) for count in counts])
            row[name] = float(chance[(limits[:, 0] <= rate) & (rate <= limits[:, 1])].sum())
            row[name + WIDTH] = float(chance @ np.ptp(limits, axis=1))
        rows.append(row)
    return pd.DataFrame(rows)


def difference_on_one_task() -> pd.DataFrame:
    """Coverage of the difference on one task: exact, by the multinomial distribution of the discordant pairs.

    The agents agree as often as two with those rates and `SHARED` do.
    """
    rows = []
    for rate, other in PAIRS:
        both = stats.multivariate_normal(cov=[[1, SHARED], [SHARED, 1]]).cdf(special.ndtri([rate, other]))
        won, lost = rate - both, other - both
        row: dict[str, Any] = {"rate": rate, "baseline": other, "Bonett-Price": 0.0, "Wald": 0.0}
        row |= {"Bonett-Price" + WIDTH: 0.0, "Wald" + WIDTH: 0.0, "McNemar p < .05": 0.0}
        for a in range(SEEDS + 1):
            for b in range(SEEDS + 1 - a):
                chance = stats.multinomial.pmf([a, b, SEEDS - a - b], SEEDS, [won, lost, 1 - won - lost])
                mean = (a - b) / SEEDS
                half = 1.96 * np.sqrt(((a + b) / SEEDS - mean**2) / SEEDS)
                for name, (low, high) in (
                    ("Bonett-Price", bonett_price(a, b, SEEDS)),
                    ("Wald", (mean - half, mean + half)),
                ):
                    row[name] += chance * (low - 1e-12 <= rate - other <= high + 1e-12)
                    row[name + WIDTH] += chance * (high - low)
                row["McNemar p < .05"] += chance * (mcnemar(a, b) < 0.05)
        if rate != other:
            row["McNemar p < .05"] = np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def printable(table: pd.DataFrame) -> str:
    """Coverage and width in one column."""
    text = table.copy()
    for name in [column for column in table if column + WIDTH in table]:
        widths = text.pop(name + WIDTH)
        text[name] = [f"{share:.3f} ({width:.3g})" for share, width in zip(table[name], widths, strict=True)]
    return text.round(3).to_string(index=False, na_rep="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--simulations", type=int, default=4000, help="per row (default: %(default)s)")
    args = parser.parse_args()
    tables = over_tasks(args.simulations, np.random.default_rng(20_240_807))
    tables["success on one task"] = one_task()
    tables["difference in success on one task"] = difference_on_one_task()
    for title, table in tables.items():
        print(f"\n{title}\n{printable(table)}")
    if args.json:
        args.json.write_text(json.dumps({k: t.to_dict("records") for k, t in tables.items()}, indent=2))


if __name__ == "__main__":
    main()
