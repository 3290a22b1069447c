"""A run that holds several plans: which episodes a table or page is about, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from babyai_kit import Run, compare, write_report
from babyai_kit.__main__ import main
from babyai_kit.environment import SUITES
from babyai_kit.errors import InputError, UnknownBaselineError
from babyai_kit.figures import FIGURES
from babyai_kit.runs.plan import Plan
from babyai_kit.runs.plan_text import held_plans_note
from babyai_kit.runs.selection import Filters, Selection, select
from tests.support.journals import add_plan, expert, idle, play, write_run
from tests.support.project import CONFIG

BOTH = ["baseline", "history"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seeds at history length 8, then two at 4, as when a notebook's parameters were changed."""
    folder = tmp_path_factory.mktemp("results")
    first = [play(expert, seed=seed, variant=variant) for seed in range(6) for variant in BOTH]
    later = [play(idle, seed=seed, variant="history", history_length=4) for seed in range(2)]
    write_run(folder, [*first, *later], seeds=range(6), history_length=8)
    add_plan(folder, variants=BOTH, tasks=["goto"], seeds=range(2), history_length=4)
    return folder


def selected(results: Path, **filters: object) -> tuple[Selection, dict[tuple[str, int], int]]:
    """The selection, and the number of its rows by variant and history length."""
    run = Run.open("r", results=results)
    selection = select(run, run.episodes(), Filters(**filters))  # type: ignore[arg-type]
    rows = selection.rows(run.episodes())
    assert all(map(selection.has, selection.planned))
    return selection, rows.groupby(["variant", "history_length"]).size().to_dict()


def test_the_settings_with_the_most_seeds_are_shown(results: Path) -> None:
    selection, rows = selected(results)
    assert rows == {("baseline", 0): 6, ("history", 8): 6}
    assert len(selection.planned) == 12
    assert [(held.selected, held.finished, held.planned) for held in selection.plans] == [
        (True, 12, 12),
        (False, 4, 4),
    ]


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({"history_length": [4]}, {("baseline", 0): 2, ("history", 4): 2}),
        ({"history_length": [4, 8]}, {("baseline", 0): 6, ("history", 4): 2, ("history", 8): 6}),
        ({"variants": ["history"]}, {("history", 8): 6}),
        ({"seeds": [0, 5]}, {("baseline", 0): 2, ("history", 8): 2}),
        ({"seeds": [1], "history_length": [4]}, {("baseline", 0): 1, ("history", 4): 1}),
        ({"tasks": ["goto"], "num_dists": [0]}, {("baseline", 0): 6, ("history", 8): 6}),
    ],
)
def test_filters_choose_others(results: Path, filters: dict, rows: dict) -> None:
    assert selected(results, **filters)[1] == rows


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"history_length": [5]}, "no plan with history length 5; it has 8, 4"),
        ({"num_dists": [3]}, "no plan with distracting objects 3; it has 0"),
        ({"variants": ["reasoning"]}, "no episode of variant reasoning; it has baseline, history"),
        ({"tasks": ["open"]}, "no episode of task open; it has goto"),
        ({"seeds": [7]}, "no episode of seed 7; it has 0:6"),
    ],
)
def test_filters_that_leave_nothing_are_refused(results: Path, filters: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        selected(results, **filters)


def test_plans_of_the_same_settings_belong_together(tmp_path: Path) -> None:
    """More seeds, other variants: also a plan of variants that show no history, whatever its length."""
    write_run(tmp_path, [play(expert, seed=seed) for seed in range(4)], history_length=2)
    add_plan(tmp_path, variants=["history"], tasks=["goto"], seeds=[0], history_length=8)
    add_plan(tmp_path, variants=BOTH, tasks=["goto", "open"], seeds=[1], history_length=8)
    selection, rows = selected(tmp_path)
    assert rows == {("baseline", 0): 4}
    assert all(held.selected for held in selection.plans)
    assert len(selection.planned) == 4 + 1 + 3
    assert any("3 plans" in line for line in selection.notes("python -m babyai_kit report r"))


def test_report_and_compare_keep_the_settings_apart(results: Path, capsys) -> None:
    report = write_report("r", results=results, config=CONFIG, figures=["paired_differences"])
    assert (report.standing.planned, report.standing.finished) == (12, 12)
    page = report.page.read_text()
    assert "not shown: seeds 0:2; history length 4 (4 of 4 episodes finished)" in page
    command = f"python -m babyai_kit report r --results {results} --history-length 4"
    assert command in page
    assert "<dt>history length</dt><dd>8</dd>" in page
    assert main(command.split()[3:]) == 0
    assert main(["compare", "r", "--results", str(results), "--measures", "success"]) == 0
    out = capsys.readouterr().out
    assert "12 episodes, 0 with an error" in out
    assert "This run holds 2 plans:" in out
    assert main(["compare", "r", "--results", str(results), "--history-length", "4"]) == 0
    out = capsys.readouterr().out
    assert "4 episodes, 0 with an error" in out
    assert f"python -m babyai_kit compare r --results {results} --history-length 8" in out


def test_the_report_takes_a_baseline_and_filters(results: Path, capsys) -> None:
    command = ["report", "r", "--results", str(results)]
    assert main([*command, "--baseline", "history", "--seeds", "0:3", "--figures"]) == 0
    out = capsys.readouterr().out
    assert "Only seeds 0:3." in out
    drawn = {path.stem for path in (results / "r/img").glob("*.png")}
    assert f"{len(drawn)} figures in {results / 'r/img'}/" in out
    # The offline player has no price, and what is not known has no figure.
    unknown = {"cost", "cost_per_success", "success_against_cost"}
    assert drawn == {*FIGURES, "failure_classes"} - unknown
    page = (results / "r/report.html").read_text()
    assert "difference from history in points" in page
    assert "6 of 6 planned episodes are finished" in page
    assert main([*command, "--baseline", "histroy"]) == 2
    assert "choose one of: variant=baseline; variant=history" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--history-length", "five"])
    assert "'five' is not a valid number; use 8 or 4,8" in capsys.readouterr().err


def test_the_baseline_is_the_agent_with_the_most_seeds(results: Path) -> None:
    """Where settings are mixed on purpose."""
    filters = Filters(variants=["history"], history_length=[4, 8])
    report = write_report("r", results=results, config=CONFIG, figures=[], filters=filters)
    assert "difference from history, 8 in points" in report.page.read_text()
    episodes = Run.open("r", results=results).episodes()
    with pytest.raises(UnknownBaselineError, match="2 agents"):
        compare(episodes, "history")


def test_another_plan_is_told_with_a_new_name() -> None:
    plan = Plan("first", ("baseline",), ("goto",), tuple(range(200, 220)), 0, 1, 8)
    other = Plan("first", ("baseline",), ("goto",), (200, 201, 202), 0, 1, 4)
    assert held_plans_note(plan, [plan]) is None
    turned = replace(plan, variants=("b", "a"), models=("m", "n"))
    assert held_plans_note(turned, [replace(plan, variants=("a", "b"), models=("n", "m"))]) is None
    assert held_plans_note(plan, [Plan("first", ("history",), ("goto",), (1,), 0, 1, 4)]) is None
    note = held_plans_note(other, [plan, other])
    assert note is not None
    assert note.split("\n")[:3] == [
        "Run 'first' already holds another plan:",
        "  there     seeds 200:220; history length 8",
        "  this one  seeds 200:203; history length 4",
    ]
    assert "'first-2'" in note
    harder = replace(plan, tasks=SUITES["rooms"].tasks)
    assert "the suite rooms" in str(held_plans_note(harder, [plan]))
    assert "'run-10'" in str(held_plans_note(Plan("run-9", *list(vars(other).values())[1:]), [plan]))


def test_the_note_on_another_plan_fits_a_terminal() -> None:
    name = "a-run-with-a-long-name-of-many-parts-1"
    tasks = ("goto", "pickup", "open", "putnext")
    variants = ("baseline", "history", "reasoning", "history_and_reasoning")
    plan = Plan(name, variants, tasks, tuple(range(0, 90, 2)), 3, 2, 8)
    other = Plan(name, (*variants, "history_and_reasoning_learned_sft"), ("goto",), (200, 201), 0, 1, 4)
    note = held_plans_note(other, [plan, plan, other])
    assert note is not None
    assert max(map(len, note.split("\n"))) < 80
    assert f"{name[:-1]}2" in note
