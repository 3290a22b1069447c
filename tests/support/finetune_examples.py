"""Artificial curations, for tests that need no gateway."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pandas as pd

from babyai_kit.finetune import Curation, Example


def example(seed: int, step: int = 0, **fields: object) -> Example:
    plain = {
        "prompt": (("system", "Choose."), ("user", f"Mission: go to the ball\nSeed {seed}, step {step}")),
        "answer": json.dumps({"action": "go forward"}),
        "episode_id": f"e{seed}",
        "inference_id": f"i{seed}-{step}",
        "run": "r",
        "task": "goto",
        "seed": seed,
        "step": step,
    }
    return Example(**plain | fields)  # type: ignore[arg-type]


def curation(seeds: Iterable[int] = range(10), steps: int = 3, **fields: object) -> Curation:
    examples = tuple(example(seed, step, **fields) for seed in seeds for step in range(steps))
    counts = pd.DataFrame([("finished", 1, 1)], columns=["stage", "episodes", "steps"])
    return Curation(
        variant="baseline", model="gpt-4o-mini-2024-07-18", runs=("r",), examples=examples, counts=counts
    )
