"""Every figure draws what the statistics say, says what it rests on, and can be read."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from babyai_kit.environment import TASKS
from babyai_kit.errors import InputError
from babyai_kit.figures import FIGURES, Chart, known_figures, picture, save_all, success_rate
from babyai_kit.figures.caption import kinds_of
from babyai_kit.figures.chart import GREY, WATERMARK
from babyai_kit.figures.outcomes import unknown_measures
from babyai_kit.figures.panels import VALUE
from babyai_kit.figures.published import EXAMPLE, LEADERBOARD
from babyai_kit.stats import estimates, measure_of
from tests.support.figures import (
    CASES,
    DRAWN,
    HOSTILE,
    LONG,
    MEASURES,
    TWO,
    UNKNOWN,
    VARIANTS,
    caption_of,
    episodes,
    figure_of,
    texts_of,
)
from tests.support.project import ROOT

pytestmark = pytest.mark.filterwarnings("error")


def points_of(axes: Axes, filled: bool = True) -> dict[str, tuple[float, float, float]]:
    """Label: the value and both ends of its line (NaN without a line), as drawn."""
    points = {}
    for bar in axes.containers:
        point, _, lines = bar.lines
        if (point.get_markerfacecolor() != "white") == filled:
            low, high = lines[0].get_segments()[0][:, 0] if lines else (np.nan, np.nan)
            points[bar.get_label()] = (point.get_xdata()[0], low, high)
    return points


def marks_of(figure: Chart) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text) if t.get_gid() == WATERMARK]


def plain_texts(axes: Axes) -> list[Text]:
    """What is written in the axes, but for values and watermark."""
    return [text for text in axes.texts if text.get_gid() not in (VALUE, WATERMARK)]


@pytest.mark.parametrize("name", ["success_rate", "episode_length", "cost"])
def test_each_point_has_its_value_beside_it(name: str) -> None:
    measure = measure_of(MEASURES[name])
    for axes in figure_of(name, "whole").axes:
        values = [text.get_text() for text in axes.texts if text.get_gid() == VALUE]
        drawn = [measure.text(value) for value, _, _ in points_of(axes).values()]
        assert [value.replace("\\$", "$") for value in values] == drawn


@pytest.mark.parametrize(("name", "case"), DRAWN)
def test_every_text_can_be_read(name: str, case: str) -> None:
    figure = figure_of(name, case)
    texts = texts_of(figure)
    for text, box in texts.items():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    before = [text for text in texts if text.get_zorder() > 0]  # all but the watermark
    marked = {text for text in texts if text.get_gid() == WATERMARK}
    assert marked == set(texts) - set(before)
    for axes in figure.axes:
        for text in marked & set(axes.texts):
            box, room = texts[text], axes.get_window_extent()
            assert room.x0 <= box.x0 < box.x1 <= room.x1
            assert room.y0 <= box.y0 < box.y1 <= room.y1
    for one, other in combinations(before, 2):
        assert not texts[one].overlaps(texts[other]), (one, other)
    for axes in (axes for axes in figure.axes if axes.axison):
        assert len([label for label in axes.get_xticklabels() if label in texts]) > 1
        for label in set(axes.get_yticklabels()) & set(texts):
            for line in axes.lines:
                assert not texts[label].overlaps(line.get_window_extent()), label


@pytest.mark.parametrize(
    ("name", "case"),
    [
        at
        for at in DRAWN
        if at.values[0] in MEASURES
        and at.values[1] in ("whole", "one task", "one episode", "errors", "unfinished", "two models")
    ],
)
def test_points_and_lines_are_the_estimates(name: str, case: str) -> None:
    frame, figure = CASES[case], figure_of(name, case)
    keys = ["variant", "model"] if case == "two models" else ["variant"]
    each = estimates(frame, MEASURES[name], [*keys, "task"])
    panel_rows = dict(iter(each.groupby("task")))
    if len(panel_rows) > 1:
        panel_rows["all tasks"] = estimates(frame, MEASURES[name], keys)
    panels = {axes.get_label(): axes for axes in figure.axes}
    assert list(panels) == [task for task in ("all tasks", *TASKS) if task in panel_rows]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    for task, axes in panels.items():
        points = points_of(axes)
        crosses = sorted(line.get_xdata()[0] for line in axes.lines if line.get_marker() == "x")
        for row in panel_rows[task].to_dict("records"):
            drawn = points.pop(", ".join(row[key] for key in keys))
            high = axes.get_xlim()[1] if np.isinf(row["high"]) else row["high"]
            assert drawn == pytest.approx((row["value"], row["low"], high), nan_ok=True)
            assert (name == "length_against_shortest") == axes.get_xlim()[0] <= drawn[0] <= axes.get_xlim()[1]
            assert np.isnan(drawn[2]) or drawn[2] <= axes.get_xlim()[1] + 1e-12
        assert not points
        worse = panel_rows[task][panel_rows[task]["worst"] < panel_rows[task]["value"]]
        assert crosses == pytest.approx(sorted(worse["worst"]))


def test_open_points_are_the_successes_alone() -> None:
    axes = figure_of("episode_length", "whole").axes[0]
    known = estimates(CASES["whole"], "length_given_success").set_index("variant")[["value", "low", "high"]]
    points = points_of(axes, filled=False)
    assert set(points) == set(VARIANTS)
    for variant, drawn in points.items():
        assert drawn == pytest.approx(tuple(known.loc[variant]))
    assert all(not points_of(axes, filled=False) for axes in figure_of("success_rate", "whole").axes)


@pytest.mark.parametrize("name", MEASURES)
def test_each_row_stands_beside_its_name(name: str) -> None:
    first, *_ = panels = figure_of(name, "whole").axes
    rows = {text.get_text(): text.get_position()[1] for text in first.get_yticklabels()}
    assert list(rows) == list(VARIANTS)
    for axes in panels:
        assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first variant is on top
        for bar in axes.containers:
            assert bar.lines[0].get_ydata()[0] == pytest.approx(rows[bar.get_label()], abs=0.2)


def styles_of(frame: pd.DataFrame) -> dict[str, tuple[str, str]]:
    bars = success_rate(frame).axes[0].containers
    return {bar.get_label(): (bar.lines[0].get_color(), bar.lines[0].get_marker()) for bar in bars}


def test_a_variant_keeps_its_colour_and_marker_whatever_is_beside_it() -> None:
    whole = styles_of(episodes())
    assert [colour for colour, _ in whole.values()] == ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
    assert len({marker for _, marker in whole.values()}) == 4
    assert styles_of(episodes(("history",))).items() <= whole.items()
    mine = styles_of(episodes(("mine", "baseline", "history")))
    assert mine.pop("mine") not in whole.values()
    assert mine.items() <= whole.items()


def test_of_two_models_the_colour_tells_the_variant_and_the_marker_the_model() -> None:
    styles = styles_of(CASES["two models"])
    assert styles["baseline, small"][0] == styles[f"baseline, {LONG}"][0] == "#0072B2"
    assert styles["baseline, small"][1] == styles["reasoning, small"][1] != styles[f"reasoning, {LONG}"][1]


def test_names_stand_as_they_are() -> None:
    axes = figure_of("success_rate", "hostile names").axes[0]
    _, label = axes.get_yticklabels()
    name = label.get_text().replace("\n", "").replace(r"\$", "$")
    assert name == "".join(HOSTILE.split())
    assert max(map(len, label.get_text().replace("\\$", "$").split("\n"))) <= 26


PUBLISHED = (
    "Grey, published and not measured with this kit: strokes, BALROG's leaderboard (Llama 3.1 8B 36%, "
    "gpt-4o-mini 50.4%, Claude 3.5 Sonnet 68%, GPT-4o 77.6%, Gemini 2.5 Pro 80%); small diamonds, "
    "gpt-4o-mini in TensorZero's example."
)
MEANS = "Points: means; lines: 95% intervals"
CAPTIONS = {
    ("success_rate", "whole"): f"{MEANS} (all tasks: t over seeds; each task: Wilson). "
    f"n=8 seeds, 160 episodes. No errors. {PUBLISHED} Model: m.",
    ("success_rate", "one task"): f"{MEANS} (Wilson). n=8 seeds, 32 episodes. No errors. Model: m.",
    ("success_rate", "one episode"): f"{MEANS} (Wilson). n=1 seed, 1 episode. No errors. Model: m.",
    ("success_rate", "one error"): "0 finished episodes. 1 error excluded. Model: m.",
    ("success_rate", "only errors"): "0 finished episodes. 160 errors excluded. Model: m.",
    ("success_rate", "empty"): "0 finished episodes. No errors. Model: none.",
    ("success_rate", "errors"): f"{MEANS} (all tasks: t over seeds; each task: Wilson). "
    "n=4 to 5 seeds with every task finished, 85 of 139 episodes. 21 errors excluded. "
    f"x: the rate with errors and missing episodes counted as failures. {PUBLISHED} Model: m.",
    ("success_rate", "unfinished"): f"{MEANS} (all tasks: t over seeds; each task: Wilson). "
    "n=4 to 5 seeds with every task finished, 85 of 145 episodes. No errors. "
    f"x: the rate with errors and missing episodes counted as failures. {PUBLISHED} Model: m.",
    ("episode_return", "offline"): f"{MEANS} (BCa bootstrap over seeds). n=8 seeds, 160 episodes. "
    "No errors. Model: offline-player (offline player: not an LLM).",
    ("episode_length", "whole"): f"{MEANS} (BCa bootstrap over seeds). "
    "Open points: successes only. n=8 seeds, 160 episodes. No errors. Model: m.",
    ("episode_length", "errors"): f"{MEANS} (BCa bootstrap over seeds). "
    "Open points: successes only (BCa bootstrap over seeds, but none: one seed in 1 of 24). "
    "n=4 to 5 seeds with every task finished, 85 of 139 episodes. 21 errors excluded. Model: m.",
    ("episode_length", "no success"): f"{MEANS} (no width: all equal). n=3 seeds, 30 episodes. "
    "No errors. Model: m.",
    ("input_tokens", "one episode"): f"{MEANS} (none: one seed). n=1 seed, 1 episode. No errors. Model: m.",
    ("cost", "unknown"): "64 finished episodes. No errors. Model: m.",
    ("cost", "unknown of one"): f"{MEANS} (BCa bootstrap over seeds). n=8 seeds, 64 episodes. "
    "64 episodes without a value. No errors. No price known for local, so costs are not shown. "
    "Model: local, priced.",
}


@pytest.mark.parametrize(("name", "case"), CAPTIONS)
def test_the_caption_says_what_the_figure_rests_on(name: str, case: str) -> None:
    assert caption_of(figure_of(name, case)) == CAPTIONS[name, case]


def test_what_cannot_be_drawn_is_said() -> None:
    def instead(name: str, case: str) -> str:
        (text,) = (t.get_text() for t in figure_of(name, case).texts if t.get_position() == (0.5, 0.5))
        return text

    def beside(name: str, case: str) -> list[str]:
        return [t.get_text() for axes in figure_of(name, case).axes for t in plain_texts(axes)]

    assert instead("cost", "empty") == "no episodes"
    assert instead("cost", "only errors") == "no finished episode"
    assert instead("cost", "unknown") == "no price known for m, so costs are not shown"
    assert instead("input_tokens", "unknown") == "no token usage reported by m, so tokens are not shown"
    assert beside("output_tokens", "unknown of one") == ["not known"] * 12
    assert beside("success_rate", "whole") == []
    gap = pd.concat([episodes(), episodes(("mine",), TWO)])
    axes = success_rate(gap).axes
    assert [t.get_text() for panel in axes for t in plain_texts(panel)] == [
        "no complete seed block",
        *["no episodes"] * 3,
    ]


@pytest.mark.parametrize(("name", "case"), DRAWN)
def test_the_watermark_is_there_exactly_with_the_offline_player(name: str, case: str) -> None:
    marks = marks_of(figure_of(name, case))
    known = {
        "offline": "offline player: not an LLM",
        "offline and other": "partly offline player: not an LLM",
    }
    assert set(marks) == ({known[case]} if case in known else set())
    panels = [axes for axes in figure_of(name, case).axes if axes.axison]
    assert len(marks) == (max(1, len(panels)) if case in known else 0)
    assert ("offline" in caption_of(figure_of(name, case))) == (case in known)


def test_the_offline_player_is_marked_where_nothing_is_drawn() -> None:
    for frame in (episodes(model="offline-player", error=1.0), episodes(model="offline-player", **UNKNOWN)):
        assert marks_of(FIGURES["cost"](frame)) == ["offline player: not an LLM"]


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    frame = episodes(VARIANTS[:2], tasks=TWO, error=0.1)
    paths = save_all(frame, tmp_path / "new" / "img")
    assert [path.name for path in paths] == [f"{name}.png" for name in FIGURES]
    assert sorted((tmp_path / "new" / "img").iterdir()) == sorted(paths)
    kept = [path.read_bytes() for path in paths]
    assert all(data.startswith(b"\x89PNG") for data in kept)
    assert all(one != other for one, other in pairwise(kept))
    shuffled = frame.sample(frac=1, random_state=1)
    assert [path.read_bytes() for path in save_all(shuffled, str(tmp_path / "new" / "img"))] == kept


def test_figures_of_what_is_not_known_are_left_out(tmp_path: Path) -> None:
    unpriced = episodes(VARIANTS[:2], tasks=("open",), cost_usd=None)
    saved = {path.stem for path in save_all(unpriced, tmp_path)}
    assert (
        saved
        == set(known_figures(unpriced))
        == set(FIGURES)
        - {
            "cost",
            "cost_per_success",
            "success_against_cost",
        }
    )
    assert unknown_measures(unpriced) == ["No price known for m, so costs are not shown."]
    assert set(known_figures(pd.concat([unpriced, episodes(("mine",))]))) == set(FIGURES)
    assert set(known_figures(CASES["empty"])) == set(known_figures(CASES["only errors"])) == set(FIGURES)
    assert unknown_measures(episodes()) == []


def test_published_scores_are_beside_what_they_can_be_compared_with() -> None:
    docs = (ROOT / "docs" / "balrog.md").read_text(encoding="utf-8")
    for model, share in LEADERBOARD.items():
        assert f"{model} | {100 * share:.1f}" in docs
    for variant, share in EXAMPLE.items():
        assert f"gpt-4o-mini, {variant.replace('_', ' ')} | {100 * share:.0f}" in docs
    first, *others = figure_of("success_rate", "whole").axes

    def marks(axes: Axes) -> list[float]:
        return [line.get_xdata()[0] for line in axes.lines if line.get_color() == GREY]

    assert marks(first) == [*LEADERBOARD.values(), *EXAMPLE.values()]
    assert not any(map(marks, others))
    for case in ("one task", "two levels"):
        assert not any(map(marks, success_rate(CASES[case]).axes))


def test_references_are_at_the_ends() -> None:
    names = ("expert", "tuned", "history", "random")
    (axes, *_) = success_rate(episodes(names)).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["random", "history", "tuned", "expert"]


def test_failures_are_saved_with_the_others(tmp_path: Path) -> None:
    frame = episodes(VARIANTS[:1], tasks=("open",), success=True)
    failures = pd.DataFrame({"episode_id": [], "failure": []})
    assert "failure_classes" in {path.stem for path in save_all(frame, tmp_path, failures=failures)}


def test_a_caption_names_the_interval_and_counts_the_exceptions() -> None:
    assert kinds_of(["t", "Wilson", "t", "t", "none: one seed"]) == (
        "t, but Wilson in 1 of 5 and none: one seed in 1 of 5"
    )
    assert kinds_of(["t", "t"]) == "t"
    assert kinds_of([]) == "none"


def test_a_save_that_fails_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "success_rate.png").write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="no space"):
        save_all(CASES["one task"], tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("success_rate.png", b"old")]


def test_a_chart_shows_itself_in_a_notebook() -> None:
    figure = success_rate(CASES["one task"])
    data, size = figure._repr_png_()
    assert data == figure.png()
    assert size["width"] == pytest.approx(100 * figure.get_size_inches()[0], abs=1)


def test_a_picture_keeps_its_pixels_in_shape() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    chart = picture(pixels)
    assert tuple(chart.get_size_inches()) == (3, 1.5)
    (image,) = chart.axes[0].images
    assert (image.get_array() == pixels).all()
