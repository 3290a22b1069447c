"""A verdict says what its row of `compare` says, and no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from babyai_kit.stats import compare, measure_of, verdict
from tests.support.figures import VARIANTS, episodes

ROW: dict[str, Any] = {
    "baseline": "baseline", "difference": 0.09, "p_holm": 0.031, "detectable": 0.1, "n_seeds": 20,
    "interval": "paired t over seeds",
}  # fmt: skip
LIMIT = "with 20 seeds only differences above 10.0 points could be found."


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, f"history is better than baseline by 9.0 points (Holm's p 0.031); {LIMIT}"),
        ({"difference": -0.09}, f"history is worse than baseline by 9.0 points (Holm's p 0.031); {LIMIT}"),
        (
            {"p_holm": 0.093},
            f"history is better than baseline by 9.0 points, which may be chance (Holm's p 0.093); {LIMIT}",
        ),
        ({"difference": 0.0, "p_holm": 1.0}, f"history and baseline are equal in success rate; {LIMIT}"),
        ({"detectable": np.nan}, "history is better than baseline by 9.0 points (Holm's p 0.031)."),
        (
            {"p_holm": np.nan, "n_seeds": 1},
            "history is better than baseline by 9.0 points; on 1 seed this cannot be tested.",
        ),
        (
            {"difference": np.nan, "interval": "none: no finished episode"},
            "history cannot be compared with baseline: no finished episode.",
        ),
    ],
)
def test_the_sentence(changes: dict[str, Any], says: str) -> None:
    assert verdict("history", ROW | changes, measure_of("success")) == says


def test_more_tokens_are_not_called_better() -> None:
    row = ROW | {"difference": 1200.0, "detectable": 300.0}
    assert verdict("history", row, measure_of("input_tokens")) == (
        "history is higher than baseline in input tokens per episode by 1,200 (Holm's p 0.031); "
        "with 20 seeds only differences above 300 could be found."
    )


def test_every_row_of_a_comparison_has_a_verdict() -> None:
    table = compare(episodes(VARIANTS[:2], error=0.05))
    for row in table.to_dict("records"):
        assert verdict("reasoning", row, measure_of(row["measure"])).endswith(".")
