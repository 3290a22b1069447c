"""Success against tokens and cost: every agent a point with both intervals, named, and the front drawn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text

from babyai_kit.figures import Chart, success_against_cost, success_against_tokens
from babyai_kit.figures.chart import DPI
from babyai_kit.figures.label_places import TAG
from babyai_kit.stats import trade_off
from tests.support.figures import MODELS, TWO, VARIANTS, caption_of, episodes, figure_of, of_models

pytestmark = pytest.mark.filterwarnings("error")


def drawn(figure: Chart) -> Chart:
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    return figure


def points_of(axes: Axes) -> dict[str, tuple[float, ...]]:
    """By agent: value and ends along the x axis, then along the y axis."""
    points = {}
    for bar in axes.containers:
        point, _, (across, upright) = bar.lines
        x, y = point.get_xdata()[0], point.get_ydata()[0]
        ends = (*across.get_segments()[0][:, 0], y, *upright.get_segments()[0][:, 1])
        points[bar.get_label()] = (x, *ends)
    return points


def tags_of(figure: Chart) -> list[Text]:
    return [text for text in figure.axes[0].texts if text.get_gid() == TAG]


def names_of(figure: Chart) -> list[str]:
    return sorted(tag.get_text().replace("\n", "") for tag in tags_of(figure))


@pytest.mark.parametrize(
    ("draw", "measure"), [(success_against_tokens, "tokens"), (success_against_cost, "cost_usd")]
)
def test_points_lines_and_front_are_the_estimates(draw, measure: str) -> None:
    frame = episodes()
    (axes,) = draw(frame).axes
    table = trade_off(frame, measure).set_index("variant")
    columns = ["value", "low", "high", "success", "success_low", "success_high"]
    assert points_of(axes) == {name: pytest.approx(tuple(row)) for name, row in table[columns].iterrows()}
    (front,) = (line for line in axes.lines if line.get_label() == "front")
    ends = table[table["on_front"]].sort_values("value")
    assert front.get_xdata() == pytest.approx(ends["value"])
    assert front.get_ydata() == pytest.approx(ends["success"])
    for bar in axes.containers:
        filled = bar.lines[0].get_markerfacecolor() != "white"
        assert filled == table.loc[bar.get_label(), "on_front"]


@pytest.mark.parametrize(
    ("variants", "models", "factor"), [(VARIANTS[:2], MODELS, 3.0), (VARIANTS, MODELS[:3], 1.0)]
)
def test_the_names_of_twelve_agents_cover_neither_each_other_nor_a_point(
    variants: tuple[str, ...], models: tuple[str, ...], factor: float
) -> None:
    figure = drawn(success_against_cost(of_models(variants, models, factor)))
    (axes,) = figure.axes
    tags = tags_of(figure)
    assert len(tags) == 12
    boxes = [Text.get_window_extent(tag) for tag in tags]
    room = axes.get_window_extent()
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    for bar in axes.containers:
        (place,) = axes.transData.transform(bar.lines[0].get_xydata())
        assert not any(box.contains(*place) for box in boxes)
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert room.y0 <= box.y0 < box.y1 <= room.y1


@pytest.mark.parametrize("name", ["success_against_tokens", "success_against_cost"])
def test_no_name_is_crossed_by_the_line_of_another(name: str) -> None:
    figure = figure_of(name, "two models")
    tags, lines = tags_of(figure), 0
    for tag in tags:
        assert isinstance(tag, Annotation)
        if tag.arrow_patch is not None:
            lines += 1
            path = tag.arrow_patch.get_transform().transform_path(tag.arrow_patch.get_path())
            others = [Text.get_window_extent(other) for other in tags if other is not tag]
            assert not any(path.intersects_bbox(box, filled=False) for box in others), tag.get_text()
    assert lines > 0


def test_beside_a_point_is_what_its_colour_does_not_tell() -> None:
    crossed = success_against_tokens(of_models(VARIANTS[:2], MODELS[:3]))
    names = ["gpt-6-luna", "claude-sonnet-4-5", "ft:gpt-4o-mini:a-name-of-its-own"]
    assert names_of(crossed) == sorted(2 * names)
    (legend,) = (axes.get_legend() for axes in crossed.axes)
    assert [text.get_text() for text in legend.get_texts()] == list(VARIANTS[:2])
    for name, model in zip(names[1:], MODELS[1:3], strict=True):
        assert f"{name} ({model})" in caption_of(crossed)
    one_variant = success_against_tokens(of_models(("history",), MODELS[:3]))
    assert names_of(one_variant) == sorted(names)
    assert "Variant: history." in caption_of(one_variant)
    one_model = success_against_tokens(episodes(tasks=TWO))
    assert names_of(one_model) == sorted(VARIANTS)
    for figure in (one_variant, one_model):
        assert figure.axes[0].get_legend() is None


def test_the_scale_is_logarithmic_where_values_differ_tenfold() -> None:
    for factor, scale in ((1.5, "linear"), (4.0, "log")):
        figure = drawn(success_against_cost(of_models(VARIANTS[:2], MODELS[:3], factor)))
        (axes,) = figure.axes
        assert axes.get_xscale() == scale
        assert axes.get_xlabel().endswith("logarithmic") == (scale == "log")
        low, high = axes.get_xlim()
        ticks = [t.get_text() for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
        assert len(ticks) > 1
        assert all(text.startswith("\\$") for text in ticks)
    free = of_models(VARIANTS[:2], MODELS[:3], 4.0)
    free["cost_usd"] = free["cost_usd"].where(free["variant"] != "baseline", 0.0)
    assert success_against_cost(free).axes[0].get_xscale() == "linear"


def test_agents_whose_tokens_are_not_known_are_said() -> None:
    frame = episodes(VARIANTS[:2], TWO)
    untold = episodes(VARIANTS[:2], TWO, model="local", input_tokens=None)
    caption = caption_of(success_against_tokens(pd.concat([frame, untold])))
    assert "No token usage reported by local, so tokens are not shown." in caption
    assert "32 episodes without a value." in caption
    gap = pd.concat([frame, episodes(("mine",), TWO[:1])])
    figure = success_against_tokens(gap)
    assert len(figure.axes[0].containers) == 2
    assert "1 agent without a complete seed block." in caption_of(figure)


def test_one_agent_has_no_front_to_speak_of() -> None:
    figure = success_against_tokens(episodes(("history",), TWO))
    assert "Pareto" not in caption_of(figure)
    assert [tag.get_text() for tag in tags_of(figure)] == ["history"]
    ((x, low, high, *_),) = points_of(figure.axes[0]).values()
    assert np.isfinite([x, low, high]).all()


def test_the_scale_of_success_ends_at_all_of_them() -> None:
    (axes,) = drawn(success_against_tokens(episodes(VARIANTS[:2], TWO, success=True))).axes
    low, high = axes.get_ylim()
    ticks = [t.get_text() for t in axes.get_yticklabels() if low <= t.get_position()[1] <= high]
    assert "100%" in ticks
    assert not any(text and float(text.rstrip("%")) > 100 for text in ticks)
