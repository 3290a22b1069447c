"""The notebooks, executed as `make run` and `make learn` do, and as they are committed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from babyai_kit import load_episodes
from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.local.language_model.base_file import missing
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.run import Run
from tests.local.language_model import NO_LLM
from tests.support.processes import environment
from tests.support.project import ROOT, make_project

PARAMETERS = {
    "SEEDS": [200, 202],
    "TRAIN_SEEDS": [0, 3],
    "TEST_SEEDS": [1000, 1002],
    "LEARNER": "history",
    "HISTORY_LENGTH": 3,
    "TEMPERATURE": 0.5,
    "MAX_TOKENS": 900,
    "CALL_SEEDS": False,
    "MAX_CONCURRENCY": 20,
}


def executed(project: Path, name: str, parameters: dict[str, Any], *, timeout: float) -> list[Any]:
    """Outputs of a notebook of the project, executed from `results/` and without an error."""
    (project / "results").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "papermill",
            name,
            f"results/{name}",
            "--cwd",
            "results",
            "--kernel",
            "python3",
            "--no-progress-bar",
            "-y",
            json.dumps(parameters),
        ],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(project / "results" / name, as_version=4)
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    return outputs


@pytest.mark.e2e
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, data: Path):
    """Also where README sends people: from `results/`, and with figures that nobody tracks."""
    project = make_project(tmp_path, data, "babyai.ipynb")
    outputs = executed(project, "babyai.ipynb", PARAMETERS | {"RUN": "notebook"}, timeout=240)
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 6
    assert len(load_episodes("notebook", results=project / "results")) == 40
    # The one set of parameters applies to every run, and every name is made of this notebook's.
    runs = [Run.open(path.name, results=project / "results") for path in (project / "results").glob("*/")]
    assert {run.manifest.run for run in runs} == {"notebook", "notebook-learn-train", "notebook-learn-test"}
    for manifest in (run.manifest for run in runs):
        assert manifest.sampling == Sampling(temperature=0.5, max_tokens=900, call_seeds=False)
        assert (manifest.plan.history_length, manifest.plan.repeats) == (3, 1)
    (variant,) = (project / "config/finetuned").iterdir()
    assert variant.name == "history_notebook_sft.toml"
    assert (project / "results/notebook/img/success_rate.png").exists()
    assert {path.name for path in project.iterdir()} == {
        "babyai_kit",
        "babyai.ipynb",
        "config",
        "data",
        "results",
    }


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(bool(missing()), reason=NO_LLM)
def test_the_learning_notebook_runs_from_top_to_bottom(tmp_path: Path, data: Path):
    """With experience enough for a few updates."""
    parameters = {
        "NAME": "few",
        "TASKS": ["goto"],
        "TRAIN_SEEDS": [0, 60],
        "REPEATS": 2,
        "TEST_SEEDS": [1000, 1005],
        "N_EPOCHS": 1,
        "TEMPERATURES": [0.7],
    }
    project = make_project(tmp_path, data, "learning.ipynb")
    outputs = executed(project, "learning.ipynb", parameters, timeout=1700)
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 5
    (variant,) = (project / "config/finetuned").glob("*.toml")
    results = project / "results"
    assert {path.name for path in results.glob("*/")} == {"few-explored", "few-test-at-0.7"}
    explored = load_episodes("few-explored", results=results)
    assert (len(explored), *explored["variant"].unique()) == (120, "explore:share=1.0")
    tested = load_episodes("few-test-at-0.7", results=results)
    assert set(tested["status"]) == {"ok"}
    assert len(tested) == 10
    models = tested.set_index("variant")["model"].drop_duplicates()
    assert models["baseline"] == LANGUAGE_MODEL
    assert models[variant.stem].startswith(f"ft:{LANGUAGE_MODEL}:")
    assert (results / "few-test-at-0.7/img/before_and_after.png").exists()


def test_every_run_of_the_notebook_has_the_same_options():
    notebook = nbformat.read(ROOT / "babyai.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    runs = [call for call in calls if ast.unparse(call.func) in ("run_experiment", "finetune.evaluate")]
    assert len(runs) == 3
    for call in runs:
        assert "options" in {ast.unparse(k.value) for k in call.keywords if k.arg is None}, ast.unparse(call)


def test_only_make_figures_writes_the_tracked_figures():
    recipes = [line.strip() for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("\t")]
    assert [line for line in recipes if "img" in line and "game.png" not in line] == [
        "$(BIN)/python -m babyai_kit report $(RUN) --figures img",
        "cp results/learning-test-at-0.7/img/before_and_after.png img/learning.png",
    ]
    for name in ("babyai.ipynb", "learning.ipynb"):
        notebook = nbformat.read(ROOT / name, as_version=4)
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        assert "figures.save_all(" in code
        assert not [text for text in ast.walk(ast.parse(code)) if _starts_with_img(text)], name


def _starts_with_img(node: ast.AST) -> bool:
    """True for a text that is a path in img/ of the working directory."""
    if isinstance(node, ast.JoinedStr):
        return bool(node.values) and _starts_with_img(node.values[0])
    return isinstance(node, ast.Constant) and str(node.value).startswith("img/")


@pytest.mark.parametrize(("name", "cells", "lines"), [("babyai.ipynb", 25, 120), ("learning.ipynb", 20, 90)])
def test_a_notebook_is_short_and_committed_without_outputs(name: str, cells: int, lines: int):
    notebook = nbformat.read(ROOT / name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) <= cells
    assert len([line for cell in code for line in cell.source.splitlines() if line.strip()]) <= lines
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert code[0].metadata["tags"] == ["parameters"]


def test_the_notebook_limits_what_it_may_cost():
    notebook = nbformat.read(ROOT / "babyai.ipynb", as_version=4)
    (parameters,) = (cell for cell in notebook.cells if cell.metadata.get("tags") == ["parameters"])
    assert "MAX_COST_USD" in parameters.source
