"""The figure of failures draws the shares, says what it rests on, and can be read."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from babyai_kit.environment import TASKS
from babyai_kit.failures import CLASSES, failure_shares
from babyai_kit.failures.classes import LABELS
from babyai_kit.figures import Chart, failure_classes
from babyai_kit.figures.agents import lineup
from babyai_kit.figures.chart import DPI, WATERMARK
from babyai_kit.figures.failures import FILLS
from babyai_kit.figures.rows import rows_for
from tests.support.episode_tables import table
from tests.support.figures import VARIANTS, caption_of, episodes, texts_of

pytestmark = pytest.mark.filterwarnings("error")


def numbered(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.reset_index(drop=True)
    return frame.assign(episode_id=[f"e{i}" for i in range(len(frame))])


CASES = {
    "whole": episodes(),
    "offline": episodes(model="offline-player"),
    "one variant": episodes(("history",)),
    "one task": episodes(tasks=("open",)),
    "errors": episodes(error=0.1),
    "only errors": episodes(error=1.0),
    "empty": table(),
    "no failure": episodes(success=True),
    "all fail": episodes(success=False),
    "two models": pd.concat([episodes(tasks=TASKS[:2], model=model) for model in ("small", "large")]),
    "one task, one variant": episodes(("history",), ("open",)),
}


def failures_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Each failed episode in a class, all classes among them."""
    failed = frame.loc[(frame["status"] == "ok") & ~frame["success"].fillna(True).astype(bool), "episode_id"]
    names = np.random.default_rng(3).choice(list(CLASSES), len(failed))
    return pd.DataFrame({"episode_id": failed.to_numpy(), "failure": names})


@cache
def drawn(case: str) -> tuple[pd.DataFrame, pd.DataFrame, Chart]:
    frame = numbered(CASES[case])
    failures = failures_of(frame)
    figure = failure_classes(frame, failures)
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    return frame, failures, figure


@pytest.mark.parametrize("case", CASES)
def test_every_text_can_be_read(case: str) -> None:
    _, _, figure = drawn(case)
    texts = texts_of(figure)
    for text, box in texts.items():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for one, other in combinations([text for text in texts if text.get_zorder() > 0], 2):
        assert not texts[one].overlaps(texts[other]), (one, other)


def bars_of(axes: Any) -> dict[float, dict[str, tuple[float, float]]]:
    """Row: class: where its bar begins, and how long it is."""
    bars: dict[float, dict[str, tuple[float, float]]] = {}
    fills = {fill: name for name, fill in FILLS.items()}
    for bar in axes.patches:
        assert isinstance(bar, Rectangle)
        colour = "#{:02X}{:02X}{:02X}".format(*(round(255 * c) for c in bar.get_facecolor()[:3]))
        name = fills[colour, bar.get_hatch() or ""]
        row = round(bar.get_y() + bar.get_height() / 2, 6)
        bars.setdefault(row, {})[name] = (bar.get_x(), bar.get_width())
    return bars


@pytest.mark.parametrize("case", ["whole", "errors", "all fail", "two models", "one task"])
def test_bars_are_the_shares_end_to_end(case: str) -> None:
    frame, failures, figure = drawn(case)
    keys = ["variant", "model"] if case == "two models" else ["variant"]
    shares = dict(iter(failure_shares(frame, failures, [*keys, "task"]).groupby("task")))
    if len(shares) > 1:
        shares["all tasks"] = failure_shares(frame, failures, keys)
    assert {axes.get_label() for axes in figure.axes} == set(shares)
    for axes in figure.axes:
        assert axes.get_xlim()[0] == 0
        bars = bars_of(axes)
        places = {round(y, 6): agent for (_, agent), y in rows_for(lineup(frame, keys)).agents.items()}
        ticks = {round(t.get_position()[1], 6): t.get_text() for t in figure.axes[0].get_yticklabels()}
        rows = {", ".join(row[k] for k in keys): row for row in shares[axes.get_label()].to_dict("records")}
        assert len(bars) == sum(row["n_episodes"] > 0 for row in rows.values())
        for place, bar in bars.items():
            assert ticks[place] == places[place][0]
            row, end = rows[", ".join(places[place])], 0.0
            for name in CLASSES:
                begin, length = bar[name]
                assert (begin, length) == pytest.approx((end, row[name]))
                end += length
            assert end <= axes.get_xlim()[1] + 1e-9


def test_the_legend_names_the_classes_that_occur_in_their_order() -> None:
    (legend,) = drawn("whole")[2].legends
    assert [text.get_text() for text in legend.get_texts()] == list(LABELS.values())
    assert drawn("no failure")[2].legends == []
    assert [t.get_text() for axes in drawn("no failure")[2].axes for t in axes.texts] == ["none"] * 24
    frame, failures, _ = drawn("whole")
    (legend,) = failure_classes(frame, failures.assign(failure="loop")).legends
    assert [text.get_text() for text in legend.get_texts()] == ["loop"]


def test_classes_differ_in_grey_too() -> None:
    assert set(FILLS) == set(LABELS) == set(CLASSES)
    assert len({hatch or colour for colour, hatch in FILLS.values()}) == len(CLASSES)


BARS = (
    "Bars: share of episodes that failed, without intervals; each failure counts once, in the first class of "
    "the legend whose condition it meets."
)
CAPTIONS = {
    "whole": f"{BARS} n=8 seeds, 160 episodes. No errors. Model: m.",
    "errors": f"{BARS} n=4 to 5 seeds with every task finished, 85 of 139 "
    "episodes. 21 errors excluded. Model: m.",
    "offline": f"{BARS} n=8 seeds, 160 episodes. No errors. "
    "Model: offline-player (offline player: not an LLM).",
    "only errors": "0 finished episodes. 160 errors excluded. Model: m.",
    "empty": "0 finished episodes. No errors. Model: none.",
}


@pytest.mark.parametrize("case", CAPTIONS)
def test_the_caption_says_what_it_rests_on(case: str) -> None:
    figure = drawn(case)[2]
    assert caption_of(figure) == CAPTIONS[case]
    marks = {t.get_text() for t in figure.findobj(Text) if t.get_gid() == WATERMARK}
    assert marks == ({"offline player: not an LLM"} if case == "offline" else set())


def test_variants_keep_their_order() -> None:
    labels = [text.get_text() for text in drawn("whole")[2].axes[0].get_yticklabels()]
    assert labels == list(VARIANTS)
