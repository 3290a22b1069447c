"""Before and after learning: both agents' estimates, their paired difference, and the references."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from babyai_kit.environment import TASKS
from babyai_kit.errors import InputError, NoSharedSeedsError, UnknownBaselineError
from babyai_kit.figures import before_and_after
from babyai_kit.figures.chart import DPI, GREY, Chart
from babyai_kit.stats import compare, estimates, measure_of
from tests.support.episode_tables import block
from tests.support.figures import TWO, UNKNOWN, caption_of, episodes, texts_of

pytestmark = pytest.mark.filterwarnings("error")

TUNED = "ft:gpt-4o-mini-2024-07-18:org::abc123"
PLAYED = episodes(("baseline", "history"))
LEARNED = PLAYED.assign(
    variant=PLAYED["variant"].replace("history", "learned"),
    model=PLAYED["variant"].map({"baseline": "gpt-4o-mini-2024-07-18", "history": TUNED}),
)
REFERENCES = episodes(("random", "expert"), model="none", **UNKNOWN)
WHOLE = pd.concat([LEARNED, REFERENCES], ignore_index=True)


def points_of(figure: Chart) -> dict[str, list[tuple[float, float, float]]]:
    """By marker face, open first: value and ends of each row, from above."""
    points: dict[str, list[tuple[float, float, float]]] = {"open": [], "filled": []}
    for bar in figure.axes[0].containers:
        point, _, (line,) = bar.lines
        face = "open" if point.get_markerfacecolor() == "white" else "filled"
        points[face].append((point.get_xdata()[0], *line.get_segments()[0][:, 0]))
    return points


def row_texts(figure: Chart) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def legend_of(figure: Chart) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_points_are_the_estimates_and_texts_the_paired_differences() -> None:
    figure = before_and_after(WHOLE, "baseline", "learned")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all tasks", *TASKS]
    drawn = points_of(figure)
    for face, variant in (("open", "baseline"), ("filled", "learned")):
        rows = LEARNED[LEARNED["variant"] == variant]
        each = estimates(rows, "success", ["task"]).set_index("task").loc[list(TASKS)]
        known = pd.concat([estimates(rows, "success"), each])[["value", "low", "high"]]
        assert drawn[face] == [pytest.approx(tuple(row)) for row in known.to_numpy()]
    success = measure_of("success")
    table = compare(LEARNED, {"variant": "baseline"}, measures=["success"])
    _, *texts = row_texts(figure)
    rows_by_task = {row["task"]: row for row in table.to_dict("records")}
    for task, text in zip(("all tasks", *TASKS), texts, strict=True):
        row = rows_by_task[task]
        difference, low, high = (success.difference(row[name]) for name in ("difference", "low", "high"))
        assert text.endswith(f",  {difference}  [{low}, {high}]")
        assert text.startswith(f"{success.text(row['baseline_value'])} → {success.text(row['value'])}")
    first = table.iloc[0]
    assert figure.get_suptitle().replace("\n", " ") == (
        f"Success rate before and after: {success.difference(first['difference'])} points, 95% interval "
        f"{success.difference(first['low'])} to {success.difference(first['high'])}"
    )


def test_the_legend_names_both_and_the_caption_their_models_in_full() -> None:
    figure = before_and_after(WHOLE, "baseline", "learned")
    assert legend_of(figure) == [
        "before: baseline, gpt-4o-mini",
        "after: learned, ft:gpt-4o-mini:abc123",
        "random",
        "expert",
    ]
    caption = caption_of(figure)
    assert f"ft:gpt-4o-mini:abc123 ({TUNED})" in caption
    assert "Grey, on the same seeds: random and expert." in caption
    assert "n=8 seeds on which both finished every task" in caption
    alone = before_and_after(episodes(tasks=TWO), "baseline", "history")
    assert legend_of(alone) == ["before: baseline", "after: history"]
    assert "Grey" not in caption_of(alone)


def test_references_are_marks_on_the_same_seeds_and_tasks() -> None:
    def marks(figure: Chart) -> list[list[float]]:
        return [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_color() == GREY]

    few = LEARNED[(LEARNED["seed"] < 4) & LEARNED["task"].isin(TWO)]
    own = REFERENCES[(REFERENCES["seed"] < 4) & REFERENCES["task"].isin(TWO)]
    expected = []
    for name in ("random", "expert"):
        rows = own[own["variant"] == name]
        each = [rows.loc[rows["task"] == task, "success"].mean() for task in TWO]
        expected.append([rows["success"].mean(), *each])
    everything = pd.concat([few, REFERENCES])
    figure = before_and_after(everything, "baseline", "learned")
    assert marks(figure) == [pytest.approx(values) for values in expected]
    assert marks(before_and_after(everything, "baseline", "learned", references=())) == []
    assert len(marks(before_and_after(everything, "baseline", "learned", references=["expert"]))) == 1
    assert marks(before_and_after(everything, "baseline", "learned", measure="input_tokens")) == []


@pytest.mark.parametrize("measure", ["success", "episode_return", "input_tokens", "cost_per_success"])
def test_every_text_can_be_read(measure: str) -> None:
    frame = WHOLE.assign(
        variant=WHOLE["variant"].replace("learned", "baseline_learned_from_its_own_episodes")
    )
    figure = before_and_after(frame, "baseline", "baseline_learned_from_its_own_episodes", measure=measure)
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    texts = texts_of(figure)
    for text, box in texts.items():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for one, other in combinations(texts, 2):
        assert not texts[one].overlaps(texts[other]), (one, other)


def test_settings_name_agents_of_one_variant() -> None:
    both = pd.concat([episodes(("history",), TWO, model=model) for model in ("small", "large")])
    figure = before_and_after(
        both, {"variant": "history", "model": "small"}, {"variant": "history", "model": "large"}
    )
    assert legend_of(figure) == ["before: history, small", "after: history, large"]
    colours = {bar.lines[0].get_color() for bar in figure.axes[0].containers}
    assert len(colours) == 2


def test_one_task_has_one_row() -> None:
    figure = before_and_after(episodes(tasks=("open",)), "baseline", "history")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["open"]


def test_what_cannot_be_drawn_is_said_or_refused() -> None:
    unknown = episodes(tasks=TWO, **UNKNOWN)
    figure = before_and_after(unknown, "baseline", "history", measure="cost_usd")
    assert "not known" in [text.get_text() for text in figure.texts]
    broken = pd.concat([episodes(("baseline",), TWO), episodes(("history",), TWO, error=1.0)])
    texts = row_texts(before_and_after(broken, "baseline", "history"))
    assert "no finished episode" in texts
    with pytest.raises(InputError, match="name two different agents"):
        before_and_after(WHOLE, "baseline", "baseline")
    with pytest.raises(UnknownBaselineError, match="agent 'tuned' matches no agent; choose one of"):
        before_and_after(WHOLE, "baseline", "tuned")
    apart = pd.concat(
        [
            block(np.ones((2, 2))),
            block(np.ones((2, 2)), variant="late").assign(seed=lambda rows: rows["seed"] + 7),
        ]
    )
    with pytest.raises(NoSharedSeedsError):
        before_and_after(apart, "baseline", "late")
