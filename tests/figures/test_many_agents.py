"""Twelve agents: rows under their models' short names, curves by model, and all of it legible."""

from __future__ import annotations

from itertools import combinations

import pandas as pd
import pytest
from matplotlib.text import Text

from babyai_kit.figures import FIGURES, Chart, failure_classes, paired_differences
from babyai_kit.figures.agents import lineup, styles_of
from babyai_kit.figures.chart import DPI, WATERMARK, WIDTH
from babyai_kit.stats import ALL_TASKS, groups
from tests.support.figures import LONG, MODELS, TWO, VARIANTS, caption_of, episodes, of_models, texts_of

pytestmark = pytest.mark.filterwarnings("error")

SHORT = {
    "openai::gpt-6-luna": "gpt-6-luna",
    "anthropic::claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
    LONG: "ft:gpt-4o-mini:a-name-of-its-own",
}
TWELVE = {"2 x 6": (VARIANTS[:2], MODELS), "4 x 3": (VARIANTS, MODELS[:3])}


def figure_of(name: str, case: str) -> Chart:
    frame = of_models(*TWELVE[case])
    if name == "paired_differences":
        return paired_differences(frame, {"variant": "baseline", "model": MODELS[0]})
    if name == "failure_classes":
        failed = frame[~frame["success"].astype(bool)].assign(failure="loop")
        return failure_classes(frame, failed)
    return FIGURES[name](frame)


@pytest.mark.parametrize("case", TWELVE)
@pytest.mark.parametrize(
    "name",
    ["success_rate", "episode_length", "success_against_steps", "paired_differences", "failure_classes"],
)
def test_every_text_can_be_read_at_any_width(name: str, case: str) -> None:
    figure = figure_of(name, case)
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] == WIDTH
    texts = {text: box for text, box in texts_of(figure).items() if text.get_gid() != WATERMARK}
    for text, box in texts.items():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
        assert text.get_fontsize() / 72 * 400 / WIDTH >= 5, text  # pixels, where it is 400 wide
    for one, other in combinations(texts, 2):
        assert not texts[one].overlaps(texts[other]), (one, other)
    for full, short in SHORT.items():
        assert f"{short} ({full})" in caption_of(figure)


def headings_and_rows(labels: list[Text]) -> list[tuple[str, bool]]:
    named = sorted(labels, key=lambda label: label.get_position()[1])
    return [(label.get_text().replace("\n", ""), label.get_fontweight() == "bold") for label in named]


@pytest.mark.parametrize("name", ["success_rate", "input_tokens", "failure_classes"])
def test_rows_are_variants_under_their_models(name: str) -> None:
    first, *_ = figure_of(name, "4 x 3").axes
    expected = []
    for model in ("claude-sonnet-4-5", "ft:gpt-4o-mini:a-name-of-its-own", "gpt-6-luna"):
        expected += [(model, True), *((variant, False) for variant in VARIANTS)]
    assert headings_and_rows(first.get_yticklabels()) == expected
    assert len([line for line in first.lines if line.get_gid() == "border"]) == 2


def test_single_tasks_of_many_agents_are_drawn_for_success_alone() -> None:
    assert len(figure_of("success_rate", "2 x 6").axes) == 3
    for name in ("episode_length", "output_tokens", "failure_classes"):
        assert [axes.get_label() for axes in figure_of(name, "2 x 6").axes] == [ALL_TASKS]
    forest = headings_and_rows(figure_of("paired_differences", "2 x 6").axes[0].get_yticklabels())
    assert [name for name, is_heading in forest if is_heading][:3] == [
        ALL_TASKS,
        "claude-sonnet-4-5",
        "ft:gpt-4o-mini:a-name-of-its-own",
    ]
    assert len(forest) == 1 + 6 + 11  # the baseline itself has no row
    two_by_two = of_models(VARIANTS[:2], MODELS[:2])
    assert len(FIGURES["episode_length"](two_by_two).axes) == 3


def test_of_one_variant_the_models_are_the_rows() -> None:
    (axes, *_) = FIGURES["success_rate"](of_models(("history",), MODELS[:3])).axes
    labels = [label.get_text().replace("\n", "") for label in axes.get_yticklabels()]
    assert labels == ["claude-sonnet-4-5", "ft:gpt-4o-mini:a-name-of-its-own", "gpt-6-luna"]
    colours = {bar.lines[0].get_color() for bar in axes.containers}
    assert len(colours) == 3


def test_references_stand_at_the_ends_without_a_heading() -> None:
    frame = pd.concat(
        [of_models(VARIANTS[:2], MODELS[:2]), episodes(("expert", "random"), TWO, model="none")]
    )
    agents = lineup(frame, ["variant", "model"])
    assert [(group.heading, len(group.agents)) for group in agents.groups] == [
        ("", 1),
        ("claude-sonnet-4-5", 2),
        ("gpt-6-luna", 2),
        ("", 1),
    ]
    assert [agents.label(agent) for agent in agents.agents][:: len(agents.agents) - 1] == ["random", "expert"]


def test_a_variant_that_has_a_model_of_its_own_needs_no_heading() -> None:
    frame = pd.concat([episodes(("history",), TWO), episodes(("history_tuned",), TWO, model=LONG)])
    agents = lineup(frame, ["variant", "model"])
    assert not agents.is_grouped
    assert [agents.label(agent).replace("\n", " ") for agent in agents.agents] == [
        "history m",
        "history_tuned ft:gpt-4o-mini:a-name-of- its-own",
    ]


def test_the_colour_is_the_variants_and_the_marker_the_models() -> None:
    agents = [(variant, model) for variant in VARIANTS for model in MODELS[:3]]
    styles = styles_of(agents)
    for variant in VARIANTS:
        assert len({styles[variant, model][0] for model in MODELS[:3]}) == 1
    assert len(set(styles.values())) == 12


def test_what_a_model_decides_names_no_agent() -> None:
    frame = of_models(VARIANTS[:2], MODELS[:2])
    frame["variant_digest"] = frame["variant"] + frame["model"]
    columns, split = groups(frame, ("variant",))
    assert columns == ["variant", "model"]
    assert len(split) == 4
    frame.loc[frame["seed"] == 0, "variant_digest"] = "changed"
    assert groups(frame, ("variant",))[0] == ["variant", "model", "variant_digest"]
