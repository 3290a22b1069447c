"""The house: few loose modules, no cycle, a short README, and a law of imports that is really enforced."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis

from tests.support.import_graph import import_graph
from tests.support.processes import environment
from tests.support.project import ROOT

MAX_LOOSE_MODULES = 10
MAX_README_LINES = 190
CONTRACT = "Reading and showing a run needs no store, gateway, stand-in, experiment or fine-tuning"


def lint_imports(folder: Path) -> tuple[int, str]:
    """Exit code and output, on one line, of import-linter on the package in `folder`."""
    process = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return process.returncode, " ".join((process.stdout + process.stderr).split())


def test_few_modules_lie_loose_and_no_room_is_in_a_cycle():
    graph = import_graph()
    assert len(graph.loose) <= MAX_LOOSE_MODULES, str(graph)
    assert not graph.cycles(), str(graph)


def test_no_example_of_hypothesis_has_a_deadline():
    """A busy machine must not fail a test; `tests/conftest.py` says so for all of them."""
    assert hypothesis.settings.default is not None
    assert hypothesis.settings.default.deadline is None
    own = [path for path in (ROOT / "tests").rglob("*.py") if "deadline=" in path.read_text(encoding="utf-8")]
    assert {path.name for path in own} <= {"conftest.py", Path(__file__).name}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MAX_README_LINES


def test_the_law_of_imports_is_kept():
    code, output = lint_imports(ROOT)
    assert code == 0, output


def test_a_forbidden_import_breaks_the_law_and_names_the_contract(tmp_path: Path):
    shutil.copytree(
        ROOT / "babyai_kit", tmp_path / "babyai_kit", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    module = tmp_path / "babyai_kit" / "stats" / "estimators.py"
    module.write_text(module.read_text() + "\nimport babyai_kit.gateway.session\n")
    code, output = lint_imports(tmp_path)
    assert code != 0
    assert f"{CONTRACT} BROKEN" in output
    assert "babyai_kit.stats.estimators -> babyai_kit.gateway.session" in output


def test_the_graph_finds_arrows_and_cycles_and_leaves_out_imports_for_types(tmp_path: Path):
    package = tmp_path / "babyai_kit"
    for room in ("a", "b", "local/c"):
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "tokens.py").write_text("")
    (package / "a" / "one.py").write_text("def f():\n    from babyai_kit.b import two\n")
    (package / "b" / "two.py").write_text("import babyai_kit.local.c\n")
    (package / "local" / "c" / "three.py").write_text(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from babyai_kit.a import one\n"
        "else:\n    import babyai_kit.tokens\n"
    )
    graph = import_graph(tmp_path)
    assert graph.loose == ("tokens",)
    assert graph.arrows["a"] == {"b"}
    assert graph.arrows["b"] == {"local.c"}
    assert graph.arrows["local.c"] == {"tokens"}
    assert not graph.cycles()
    (package / "local" / "c" / "three.py").write_text("from babyai_kit.a import one\n")
    assert import_graph(tmp_path).cycles() == [frozenset({"a", "b", "local.c"})]
