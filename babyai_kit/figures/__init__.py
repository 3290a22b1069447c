"""Figures: `episodes` table in, matplotlib Figure out.

Knows how estimates are drawn; what they are, `stats` knows. `outcomes` has a function per figure, `panels`
lays out and draws, `agents` names and colours the rows, `caption` says what they rest on, `chart` is the
Figure. pyplot is not used, so no figure stays open behind the caller's back.
"""

from babyai_kit.figures.chart import Chart, picture
from babyai_kit.figures.failures import failure_classes
from babyai_kit.figures.outcomes import (
    FIGURES,
    cost,
    episode_length,
    episode_return,
    input_tokens,
    output_tokens,
    save_all,
    success_rate,
)

__all__ = [
    "FIGURES",
    "Chart",
    "cost",
    "episode_length",
    "episode_return",
    "failure_classes",
    "input_tokens",
    "output_tokens",
    "picture",
    "save_all",
    "success_rate",
]
