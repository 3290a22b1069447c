"""The text of an evaluation: a table for a terminal, and what it says of success in a sentence."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from babyai_kit.finetune.evaluation import assess
from tests.support.episode_tables import block

BASE, TUNED = "history_and_reasoning", "history_and_reasoning_learned_sft"
TASKS = 3
WINS = [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0]] * 3
"""Of the base, by seed; the tuned variant wins all."""


def evaluated(overlap: list[int]) -> list[str]:
    tokens = {"input_tokens": 52_345, "output_tokens": 12_345, "cost_usd": 0.12345}
    base = block(WINS, variant=BASE, **tokens)
    tuned = block(
        [[1] * TASKS] * len(WINS), variant=TUNED, **tokens | {"input_tokens": 11_000, "cost_usd": 0.0245}
    )
    rows = pd.DataFrame({"seed": overlap, "task": "goto"})
    return str(assess(pd.concat([base, tuned], ignore_index=True), BASE, TUNED, rows)).split("\n")


@pytest.mark.parametrize("overlap", [[], [0, 1], list(range(len(WINS)))])
def test_it_fits_a_terminal(overlap: list[int]) -> None:
    assert max(map(len, evaluated(overlap))) < 80


def test_percent_and_points_are_told_apart() -> None:
    head, columns, *rows = evaluated([])
    assert head == f"{TUNED} against {BASE}, test block"
    assert columns.split() == ["12", "seeds", "base", "tuned", "difference", "95%", "interval"]
    assert re.fullmatch(r"  success rate \(%\) +41\.7 +100\.0 +\+58\.3 +\+\d+\.\d to \+\d+\.\d", rows[0])
    assert re.match(r"  input tokens per episode +52,345 +11,000 +-41,345 ", rows[3])
    text = " ".join(rows)
    assert f"{TUNED} is better than {BASE} by 58.3 points (Holm's p" in text
    assert "+58.3 points" not in text


def test_seeds_that_start_like_a_train_episode_are_left_out_below() -> None:
    text = "\n".join(evaluated([0, 1]))
    assert (
        "Test episodes that start like a train episode: 2 (seeds: 2).\nSuccess without these seeds:" in text
    )
    assert re.findall(r"(?m)^  (\d+) seeds ", text) == ["12", "10"]
    whole = evaluated(list(range(len(WINS))))
    assert whole[-1] == "Every test seed has an episode that starts like a train episode."
    assert evaluated([])[-1] == "No test episode starts like a train episode."
