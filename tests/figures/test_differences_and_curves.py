"""The forest plot and the curves draw what the statistics say, and the command prints it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from babyai_kit.__main__ import main
from babyai_kit.environment import TASKS
from babyai_kit.episodes.table import load_episodes
from babyai_kit.errors import NoSharedSeedsError, UnknownBaselineError
from babyai_kit.figures import FIGURES, paired_differences, return_profiles, save_all, success_against_steps
from babyai_kit.figures.chart import WATERMARK
from babyai_kit.figures.curves import CONTEXT
from babyai_kit.runs.journal import Journal
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.plan import Plan, Sampling
from babyai_kit.runs.records import EpisodeRecord
from babyai_kit.stats import ALL_TASKS, MEASURES, compare, success_by_step
from babyai_kit.stats import return_profiles as profiles
from tests.support.episode_tables import block
from tests.support.figures import BASELINES, CASES, LONG, VARIANTS, caption_of, episodes, figure_of

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("case", ["whole", "one task", "errors", "two models", "two levels"])
def test_the_forest_shows_the_comparison(case: str) -> None:
    known = compare(CASES[case], BASELINES.get(case, "baseline"), measures=["success"])
    if case == "one task":
        known = known[known["task"] != ALL_TASKS]
    (axes,) = figure_of("paired_differences", case).axes
    columns = list(known.columns)
    keys = columns[columns.index("task") : columns.index("baseline")]
    bars = {bar.get_label(): bar for bar in axes.containers}
    texts = {round(t.get_position()[1], 6): t.get_text() for t in axes.texts}
    assert len(bars) == len(known)
    for row in known.to_dict("records"):
        point, _, (line,) = bars[", ".join(str(row[key]) for key in keys)].lines
        drawn = (point.get_xdata()[0], *line.get_segments()[0][:, 0])
        assert drawn == pytest.approx(tuple(100 * row[k] for k in ("difference", "low", "high")))
        assert axes.get_xlim()[0] < drawn[1] <= drawn[2] < axes.get_xlim()[1]
        text = texts[round(point.get_ydata()[0], 6)]
        assert f"{100 * row['difference']:+.1f}" in text
        assert f"p = {row['p_holm']:.3f}" in text
    assert axes.get_xlim()[0] < 0 < axes.get_xlim()[1]


@pytest.mark.parametrize("measure", MEASURES)
def test_the_forest_of_any_measure(measure: str) -> None:
    frame = episodes(VARIANTS[:2])
    known = compare(frame, measures=[measure])
    (axes,) = paired_differences(frame, measure=measure).axes
    assert len(axes.containers) == known["difference"].notna().sum() > 0


def test_the_forest_says_what_it_rests_on() -> None:
    assert caption_of(figure_of("paired_differences", "one task")) == (
        "Paired by seed; lines: 95% intervals (Bonett-Price), not corrected. Holm's p: exact McNemar test, "
        "corrected over agents. n=8 seeds on which both agents finished. Smallest true difference found "
        "with 80% power: 53.2 to 69.2. No errors. Model: m."
    )
    text = caption_of(figure_of("paired_differences", "errors"))
    assert "n=3 seeds on which both agents finished every task." in text
    assert "21 errors excluded." in text
    unpriced = pd.concat([episodes(), episodes(("mine",), cost_usd=None)])
    assert "40 episodes without a value." in caption_of(paired_differences(unpriced, measure="cost_usd"))


def test_what_cannot_be_compared_is_said_or_refused(tmp_path: Path) -> None:
    def instead(frame: pd.DataFrame, **wanted: str) -> str:
        return next(
            t.get_text() for t in paired_differences(frame, **wanted).texts if t.get_gid() != WATERMARK
        )

    assert instead(CASES["empty"]) == "no episodes"
    assert instead(CASES["one variant"], baseline="history") == "no agent to compare with history"
    assert instead(CASES["only errors"]) == "no finished episode"
    assert instead(CASES["unknown"], measure="cost_usd") == "not known"
    alone = episodes(("history",), ("open",))
    with pytest.raises(UnknownBaselineError):
        paired_differences(alone)
    apart = pd.concat([block(np.ones((2, 1))), block(np.ones((2, 1)), variant="history").assign(seed=[7, 8])])
    with pytest.raises(NoSharedSeedsError):
        paired_differences(apart)
    assert {path.stem for path in save_all(alone, tmp_path)} == set(FIGURES) - {"paired_differences"}
    assert "paired_differences" in {path.stem for path in save_all(alone, tmp_path, baseline="history")}


@pytest.mark.parametrize(
    ("name", "curve"), [("return_profiles", profiles), ("success_against_steps", success_by_step)]
)
@pytest.mark.parametrize("case", ["whole", "one task", "errors"])
def test_lines_and_bands_are_the_curves(name: str, curve, case: str) -> None:
    known = curve(CASES[case])
    figure = figure_of(name, case)
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_label() for axes in panels] == (["open"] if case == "one task" else [ALL_TASKS, *TASKS])
    for axes in panels:
        curves = known[known["task"] == axes.get_label()]
        lines = {line.get_label(): line for line in axes.lines}
        assert set(lines) == set(curves["variant"])
        for agent, rows in curves.groupby("variant"):
            assert lines[agent].get_xdata() == pytest.approx(rows["threshold"])
            assert lines[agent].get_ydata() == pytest.approx(rows["value"])
        assert len(axes.collections) == len(lines)  # bands
        # Lines are told apart in grey.
        assert len({(line.get_linestyle(), line._unscaled_dash_pattern) for line in lines.values()}) == 4
        assert len({line.get_marker() for line in lines.values()}) == 4


@pytest.mark.parametrize(
    ("name", "curve"), [("return_profiles", profiles), ("success_against_steps", success_by_step)]
)
def test_of_several_models_each_has_a_panel_with_the_others_in_grey(name: str, curve) -> None:
    figure = figure_of(name, "two models")
    known = curve(CASES["two models"], ["variant", "model"])
    known = known[known["task"] == ALL_TASKS]
    panels = {axes.get_label(): axes for axes in figure.axes if axes.axison}
    models = {"ft:gpt-4o-mini:a-name-of-its-own": LONG, "small": "small"}
    assert list(panels) == list(models)
    for heading, axes in panels.items():
        own = known[known["model"] == models[heading]]
        lines = {line.get_label(): line for line in axes.lines if line.get_gid() != CONTEXT}
        assert set(lines) == {f"{variant}, {models[heading]}" for variant in own["variant"]}
        for (variant, model), rows in own.groupby(["variant", "model"]):
            assert lines[f"{variant}, {model}"].get_ydata() == pytest.approx(rows["value"])
        assert len(axes.lines) == 7
        assert len(axes.collections) == len(lines)
    (legend,) = (axes.get_legend() for axes in figure.axes if not axes.axison)
    assert [text.get_text() for text in legend.get_texts()] == list(VARIANTS)
    assert "all tasks together; grey: the other agents." in caption_of(figure)


def test_many_agents_have_a_panel_each() -> None:
    figure = figure_of("success_against_steps", "ten variants")
    assert [axes.get_label() for axes in figure.axes] == [f"v{i}" for i in range(10)]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines if line.get_gid() != CONTEXT] == [axes.get_label()]
        assert len(axes.lines) == 10


def test_curves_say_what_they_rest_on() -> None:
    assert caption_of(return_profiles(CASES["whole"])) == (
        "Lines: means over seeds. Bands: pointwise 95% intervals (percentile bootstrap over seeds). "
        "n=8 seeds, 160 episodes. No errors. Model: m."
    )
    assert caption_of(success_against_steps(CASES["errors"])).endswith(
        "n=4 to 5 seeds with every task finished, 85 of 139 episodes. 21 errors excluded. Model: m."
    )
    bands = caption_of(success_against_steps(CASES["whole"])).partition("Bands: ")[2]
    assert bands.startswith(
        "pointwise 95% intervals (all tasks: t over seeds, at extreme rates Wilson over seeds"
    )
    assert "; each task: Wilson). n=8 seeds" in bands
    six = episodes(("mine", "yours", *VARIANTS), TASKS[:2])
    assert "Bands" not in caption_of(return_profiles(six))
    only_errors = caption_of(return_profiles(CASES["only errors"]))
    assert only_errors == "0 finished episodes. 160 errors excluded. Model: m."


def manifest(variants: Sequence[str], seeds: Iterable[int]) -> Manifest:
    """Of a run `r` over all tasks."""
    plan = Plan(
        "r",
        tuple(variants),
        TASKS,
        tuple(seeds),
        num_dists=0,
        repeats=1,
        history_length=0,
        models=("m", "large"),
    )
    return Manifest(
        run="r",
        run_id="1",
        created="2026-01-01T00:00:00+00:00",
        updated="2026-01-01T00:00:00+00:00",
        plan=plan,
        plans=(plan,),
        sampling=Sampling(),
        model="m",
        own_models={},
        digests={variant: {"m": "d", "large": "d"} for variant in variants},
        gateway="embedded",
        versions={},
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with a run on disk: two variants, an error, one variant played by another model too."""
    rows = pd.concat([episodes(VARIANTS[:2], error=0.02), episodes(("mine",), model="large")])
    with Journal(tmp_path / "r") as journal:
        journal.write_manifest(manifest([*VARIANTS[:2], "mine"], range(9)))
        for row in rows.assign(run="r").to_dict("records"):
            clean = {k: None if pd.isna(v) else v for k, v in row.items()}
            journal.append(EpisodeRecord(**clean))
    return tmp_path


def test_the_command_prints_the_comparison(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = results / "new" / "table.csv"
    assert main(["compare", "r", "--results", str(results), "--csv", str(file)]) == 0
    out = capsys.readouterr().out
    known = compare(load_episodes("r", results=results))
    pd.testing.assert_frame_equal(pd.read_csv(file), known, check_dtype=False)
    success = known[(known["measure"] == "success") & (known["task"] == ALL_TASKS)]
    for row in success.to_dict("records"):
        (line,) = (
            x
            for x in out.partition("\ngoto")[0].splitlines()
            if x.startswith(f" {row['variant']}, {row['model']} ")
        )
        assert f"{100 * row['difference']:+.1f}" in line
        assert f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}" in line
        assert f"{row['p_holm']:.3f}" in line
    for title in (
        "Success rate (%)",
        "Episode return",
        "Cost per success (US dollars)",
        "model: large, m",
        " with an error",
    ):
        assert title in out
    assert out.count(ALL_TASKS) == len(MEASURES)
    assert out.count("putnext") == 1  # single tasks for success alone


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--baseline", "nobody"], "matches no agent; choose one of: variant=baseline, model=m"),
        (["--baseline", "variant=baseline,model=large"], "matches no agent"),
        (["--measures", "luck"], "unknown measure 'luck'"),
    ],
)
def test_the_command_refuses(results: Path, capsys, flags: list[str], says: str) -> None:
    assert main(["compare", "r", "--results", str(results), *flags]) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert out == ""


def test_the_command_takes_settings_and_shows_tasks(results: Path, capsys) -> None:
    flags = ["--baseline", "variant=mine,model=large", "--measures", "episode_length", "--per-task"]
    assert main(["compare", "r", "--results", str(results), *flags]) == 0
    out = capsys.readouterr().out
    assert "Episode length (steps), difference from mine, large" in out
    assert out.count("putnext") == 1


def test_a_run_of_one_variant_has_nothing_to_compare(tmp_path: Path, capsys) -> None:
    with Journal(tmp_path / "r") as journal:
        journal.write_manifest(manifest(["baseline"], range(2)))
        for row in block(np.ones((2, 2))).to_dict("records"):
            journal.append(EpisodeRecord(**{k: None if pd.isna(v) else v for k, v in row.items()}))
    assert main(["compare", "r", "--results", str(tmp_path)]) == 2
    assert "only one agent" in capsys.readouterr().err
