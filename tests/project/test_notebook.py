"""The notebook, executed as `make run` does, and as it is committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from babyai_kit import load_episodes
from tests.support.processes import environment
from tests.support.project import ROOT, make_project


@pytest.mark.e2e
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, data: Path):
    project = make_project(tmp_path, data, "babyai.ipynb")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "papermill",
            "babyai.ipynb",
            "results.ipynb",
            "--kernel",
            "python3",
            "--no-progress-bar",
            "-p",
            "RUN",
            "notebook",
            "-y",
            "{SEEDS: [200, 202], TRAIN_SEEDS: [0, 3], TEST_SEEDS: [1000, 1002]}",
        ],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(project / "results.ipynb", as_version=4)
    outputs = [o for cell in executed.cells if cell.cell_type == "code" for o in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 6
    assert len(load_episodes("notebook", results=project / "results")) == 40


def test_the_notebook_is_short_and_committed_without_outputs():
    notebook = nbformat.read(ROOT / "babyai.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line for cell in code for line in cell.source.splitlines() if line.strip()]
    assert len(notebook.cells) <= 25
    assert len(lines) <= 120
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert code[0].metadata["tags"] == ["parameters"]
    assert "MAX_COST_USD" in code[0].source
