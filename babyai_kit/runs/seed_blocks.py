"""Which seeds may be learned from, chosen on and reported on.

Knows seeds and the starts they make; nothing of agents. Four disjoint blocks:

    train        0 to 199        episodes of these may be learned from
    validation   200 to 219      variants are chosen on these
    test         1000 to 1099    the gain is reported on these, and on nothing else
    base         10000 and up    for base models trained from scratch

Different seeds can still start alike, so disjoint blocks are not enough: `start_overlap` tells which do.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import pandas as pd

from babyai_kit.environment import make_env
from babyai_kit.errors import InputError

TRAIN = range(0, 200)
VALIDATION = range(200, 220)
TEST = range(1000, 1100)
BASE = range(10_000, 2**31)

BLOCKS = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "base": BASE}


def block_of(seed: int) -> str | None:
    """Name of the block that `seed` is in, or None for one between the blocks."""
    return next((name for name, block in BLOCKS.items() if seed in block), None)


def check_block(seeds: Iterable[int], block: str, purpose: str) -> None:
    """Raises InputError unless every one of `seeds` is in `block`; `purpose` says what they are for."""
    strangers = sorted(set(seeds) - set(BLOCKS[block]) if block != "base" else _outside_base(seeds))
    if strangers:
        homes = sorted({block_of(seed) or "no" for seed in strangers})
        named = ", ".join(map(str, strangers[:5])) + (", ..." if len(strangers) > 5 else "")
        allowed = BLOCKS[block]
        raise InputError(
            f"seeds {named} are of the {' and '.join(homes)} block, and {purpose} takes the {block} block "
            f"alone; use seeds {allowed.start} to {allowed.stop - 1}"
        )


def _outside_base(seeds: Iterable[int]) -> set[int]:
    return {seed for seed in seeds if seed not in BASE}


def check_disjoint(**groups: Iterable[int]) -> None:
    """Raises InputError that names the first seeds which two of the named groups share."""
    sets = {name: set(seeds) for name, seeds in groups.items()}
    names = list(sets)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            shared = sorted(sets[one] & sets[other])
            if shared:
                raise InputError(
                    f"{one} and {other} share seeds {', '.join(map(str, shared[:5]))}; give each its own"
                )


def start_overlap(
    tasks: Iterable[str],
    *,
    train: Iterable[int] = TRAIN,
    test: Iterable[int] = TEST,
    num_dists: int = 0,
) -> pd.DataFrame:
    """The test episodes that start as a train episode of the same task does: columns task, seed (of the
    test), alike (the first train seed with that start). A start is what the agent is told before its first
    step, mission and observation; what lies out of its view may differ.
    """
    train, test = list(train), list(test)
    check_disjoint(train=train, test=test)
    rows = []
    for task in tasks:
        known: dict[str, int] = {}
        for seed in train:
            known.setdefault(_start(task, num_dists, seed), seed)
        starts = ((seed, _start(task, num_dists, seed)) for seed in test)
        rows += [(task, seed, known[start]) for seed, start in starts if start in known]
    return pd.DataFrame(rows, columns=["task", "seed", "alike"])


@lru_cache(maxsize=4096)
def _start(task: str, num_dists: int, seed: int) -> str:
    env = make_env(task, num_dists=num_dists)
    observation, _ = env.reset(seed=seed)
    env.close()
    return f"{observation['mission']}\n{observation['text']}"
