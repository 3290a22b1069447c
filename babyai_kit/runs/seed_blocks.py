"""Which seeds may be learned from, chosen on and reported on.

Four disjoint blocks:

    train        0 to 199        episodes of these may be learned from
    validation   200 to 219      variants are chosen on these
    test         1000 to 1099    the gain is reported on these, and on nothing else
    base         10000 and up    for base models trained from scratch

Different seeds can still start alike, so disjoint blocks are not enough: `start_overlap` finds those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations

import pandas as pd

from babyai_kit.environment.playback import Playback
from babyai_kit.errors import InputError

TRAIN = range(0, 200)
VALIDATION = range(200, 220)
TEST = range(1000, 1100)
BASE = range(10_000, 2**31)

BLOCKS = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "base": BASE}


def block_of(seed: int) -> str | None:
    """Name of the block that `seed` is in; None for a seed between the blocks."""
    return next((name for name, block in BLOCKS.items() if _is_in(seed, block)), None)


def check_block(seeds: Iterable[int], block: str, purpose: str) -> None:
    """Raises InputError unless all `seeds` are in `block`; `purpose` completes "cannot be used for"."""
    allowed = BLOCKS[block]
    others = sorted({seed for seed in seeds if not _is_in(seed, allowed)})
    if others:
        blocks = {block_of(seed) for seed in others}
        places = " and ".join(sorted("no block" if b is None else f"the {b} block" for b in blocks))
        raise InputError(
            f"seeds {_first_five(others)} are in {places} and cannot be used for {purpose}; use the {block} "
            f"block, {allowed.start} to {allowed.stop - 1}"
        )


def _is_in(seed: int, block: range) -> bool:
    # `in` is slow for numpy's integers.
    return block.start <= seed < block.stop


def _first_five(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:5])) + (", ..." if len(seeds) > 5 else "")


def check_disjoint(**groups: Iterable[int]) -> None:
    """Raises InputError that names the first seeds which two of the named groups share."""
    sets = {name: set(seeds) for name, seeds in groups.items()}
    for one, other in combinations(sets, 2):
        shared = sorted(sets[one] & sets[other])
        if shared:
            raise InputError(f"{one} and {other} share seeds {_first_five(shared)}; give each its own")


def start_overlap(
    tasks: Iterable[str],
    *,
    train: Iterable[int] = TRAIN,
    test: Iterable[int] = TEST,
    num_dists: int = 0,
) -> pd.DataFrame:
    """The test episodes that start like a train episode of the same task: columns task, seed (of the test),
    alike (the first train seed with that start). A start is what the agent sees before its first step:
    mission and observation; what is out of its view may differ.
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
    start = Playback(task, seed=seed, num_dists=num_dists)
    return f"{start.mission}\n{start.observation}"
