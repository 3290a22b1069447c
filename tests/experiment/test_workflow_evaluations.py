"""The names of tasks in TensorZero's UI, and the link to the comparison of a run's variants."""

from __future__ import annotations

import itertools
from dataclasses import replace

import nbformat
import pytest
from nbclient import NotebookClient

from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment import TASKS
from babyai_kit.experiment.links import show_link
from babyai_kit.experiment.workflow_evaluations import show_comparison, task_name
from babyai_kit.runs.manifest import Manifest, manifest_for
from babyai_kit.runs.plan import Sampling, make_plan
from babyai_kit.runs.records import EpisodeKey
from tests.support.project import CONFIG

CUT = 20
"""Characters of a task's name that the UI shows."""


def key(task: str = "goto", seed: int = 3, repeat: int = 0, num_dists: int = 0) -> EpisodeKey:
    return EpisodeKey("r", "history", "m", task, num_dists, seed, repeat, 8)


def test_a_tasks_name_begins_with_the_seed():
    assert task_name(key()) == "seed 3, goto"
    assert task_name(key(repeat=1, num_dists=2)) == "seed 3 #1, goto, 2 distractors"
    assert task_name(key(repeat=1, num_dists=2), seed_first=False) == "goto, seed 3, 2 distractors, repeat 1"


def test_what_the_ui_shows_of_a_name_tells_the_episodes_of_a_run_apart():
    keys = [key(task, seed, repeat) for task, seed, repeat in itertools.product(TASKS, (3, 1099), (0, 1))]
    assert len({task_name(k)[:CUT] for k in keys}) == len(keys)


@pytest.fixture
def manifest() -> Manifest:
    config = load_config(CONFIG, load_settings(None, {}))
    variants = ["reasoning", "history", "baseline"]
    plan = make_plan(config, run="r", variants=variants, tasks=["goto"], seeds=[3])
    manifest = manifest_for(None, plan, Sampling(), config, load_settings(None, {}))
    places = {v: f"{v}:{digest}:{m}" for v, of in manifest.digests.items() for m, digest in of.items()}
    old = {f"history:{'0' * 12}:m": "old"}  # of an earlier prompt
    return replace(manifest, workflow_runs=old | {places[v]: f"id-{v}" for v in ("baseline", "history")})


def test_the_comparison_has_the_present_variants_in_the_order_of_the_plan(
    manifest: Manifest, capsys: pytest.CaptureFixture[str]
):
    show_comparison(manifest, "http://h")
    assert capsys.readouterr().out == (
        "Compare the variants in TensorZero's UI: "
        "http://h/workflow-evaluations/projects/babyai?run_ids=id-history,id-baseline\n"
    )


def test_of_more_variants_than_the_ui_compares_the_first_are_chosen(
    manifest: Manifest, capsys: pytest.CaptureFixture[str]
):
    names = list("abcdefg")
    many = replace(
        manifest,
        plan=replace(manifest.plan, variants=tuple(names), models=("m",)),
        digests={name: {"m": "d"} for name in names},
        workflow_runs={f"{name}:d:m": name for name in names},
    )
    show_comparison(many, "http://h")
    assert "(the first 5 of 7)" in (told := capsys.readouterr().out)
    assert told.endswith("?run_ids=a,b,c,d,e\n")


def test_without_evaluations_nothing_is_shown(manifest: Manifest, capsys: pytest.CaptureFixture[str]):
    show_comparison(replace(manifest, workflow_runs={}), "http://h")
    assert not capsys.readouterr().out


def test_outside_a_notebook_a_link_is_a_line(capsys: pytest.CaptureFixture[str]):
    show_link("Here", "http://h/?a=1,2")
    assert capsys.readouterr().out == "Here: http://h/?a=1,2\n"


@pytest.mark.e2e
def test_in_a_notebook_it_is_a_link():
    source = "from babyai_kit.experiment.links import show_link\nshow_link('Here', 'http://h/?a=1,2&b=\"<')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.data["text/plain"] == 'Here: http://h/?a=1,2&b="<'
    assert '<a href="http://h/?a=1,2&amp;b=&quot;&lt;"' in output.data["text/html"]
