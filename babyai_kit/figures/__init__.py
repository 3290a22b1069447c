"""Figures: `episodes` table in, matplotlib Figure out.

`outcomes` has a function per figure, `game` draws a level; `panels`, `forest`, `curves`, `trade_off`,
`before_after` and `failures` lay out and draw; `agents` names and colours the rows, `caption` says what a
figure rests on, `chart` is the Figure. pyplot is not used, so no figure stays open behind the caller's back.
"""

from babyai_kit.figures.before_after import before_and_after
from babyai_kit.figures.chart import Chart, picture
from babyai_kit.figures.curves import return_profiles, success_against_steps
from babyai_kit.figures.failures import failure_classes
from babyai_kit.figures.forest import paired_differences
from babyai_kit.figures.game import game
from babyai_kit.figures.outcomes import (
    FIGURES,
    cost,
    cost_per_success,
    episode_length,
    episode_return,
    input_tokens,
    known_figures,
    length_against_shortest,
    output_tokens,
    save_all,
    success_rate,
    tokens_per_success,
)
from babyai_kit.figures.trade_off import success_against_cost, success_against_tokens

__all__ = [
    "FIGURES",
    "Chart",
    "before_and_after",
    "cost",
    "cost_per_success",
    "episode_length",
    "episode_return",
    "failure_classes",
    "game",
    "input_tokens",
    "known_figures",
    "length_against_shortest",
    "output_tokens",
    "paired_differences",
    "picture",
    "return_profiles",
    "save_all",
    "success_against_cost",
    "success_against_steps",
    "success_against_tokens",
    "success_rate",
    "tokens_per_success",
]
