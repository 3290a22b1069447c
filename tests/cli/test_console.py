"""The command line as typed: errors that say what was meant, helps, the list of runs, completion, colour."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from babyai_kit import missing_packages
from babyai_kit.__main__ import main
from babyai_kit.cli.colour import painted
from babyai_kit.cli.run import outcome_table
from babyai_kit.environment import TASKS
from babyai_kit.runs.run import Run
from tests.support.journals import SLOW, expert, idle, play, write_run
from tests.support.processes import environment
from tests.support.project import make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's working directory with the runs `first` and `second`; nothing runs in it."""
    folder = tmp_path_factory.mktemp("project")
    make_project(folder, folder / "no-data")
    plan = {"history": expert, "baseline": idle}  # not in alphabetical order
    episodes = [play(policy, seed=seed, variant=v) for seed in (0, 1) for v, policy in plan.items()]
    write_run(folder / "results", episodes, "first", variants=list(plan), seeds=[0, 1, 2])
    write_run(folder / "results", [play([], seed=0, error=SLOW)], "second")
    os.utime(folder / "results/first/run.json", (1, 1))
    return folder


@pytest.fixture(autouse=True)
def _inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def said(words: list[str], capsys: pytest.CaptureFixture[str], code: int) -> str:
    """What a command prints to the stream that its exit code belongs to."""
    try:
        ended: object = main(words)
    except SystemExit as stop:  # argparse's way
        ended = stop.code or 0
    assert ended == code
    out, err = capsys.readouterr()
    if code:
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
    return err if code else out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("rnu first", "unknown command 'rnu'; did you mean 'run'? There are: run, runs, view, report,"),
        ("finetune lunch", "unknown command 'lunch'; did you mean 'launch'?"),
        ("run", "RUN is missing; see python -m babyai_kit run --help"),
        ("run x --taks goto", "unknown argument --taks; did you mean '--tasks'? See python -m babyai_kit"),
        ("run x --num-dists few", "--num-dists: 'few' is not a whole number; see"),
        ("run x --tasks goto,pikcup", "unknown task 'pikcup'; did you mean 'pickup'? There are: goto,"),
        ("run x --tasks BabyAI-BosLevel-v0", "did you mean 'BabyAI-BossLevel-v0'?"),
        ("run x --variants Baseline", "unknown variant 'Baseline'; did you mean 'baseline'? There are: base"),
        ("run x --variants zz", "unknown variant 'zz'; choose from baseline, reasoning, history,"),
        ("run x --temperature 3", "temperature 3.0 is not in range; use 0 to 2"),
        ("run x --shard 4/4", "shard 4/4 is not valid"),
        ("run x --concurrency 0", "max_concurrency 0 is not valid"),
        ("run x --max-cost-usd -1", "max_cost_usd -1.0 is not valid"),
        ("report frist", "no run 'frist' under results; did you mean 'first'? There are: second, first"),
        ("reconcile frist", "no run 'frist' under results; did you mean 'first'?"),
        (
            "compare zz --results elsewhere",
            "since there is no such folder; name the folder of the runs",
        ),
        (
            "report x --results config",
            "which holds no run yet; begin it: python -m babyai_kit run x --res",
        ),
        ("replay first --task opne", "the run has no episode of task 'opne'; choose from goto"),
        ("finetune launch first --variant histroy", "unknown variant 'histroy'; did you mean 'history'?"),
        ("finetune evaluate x --base baseline --tuned nope", "unknown variant 'nope'; choose from"),
        ("finetune wait first", "no job was launched in results/first/finetune"),
    ],
)
def test_bad_input_is_told_before_anything_starts(words: str, text: str, project: Path, capsys) -> None:
    assert text in said(words.split(), capsys, 2)
    # The folder of services' data would be there.
    assert not (project / "no-data").exists()


def test_the_help_of_run_has_every_default_and_name(capsys) -> None:
    text = " ".join(said(["run", "--help"], capsys, 0).split())
    flags = text.partition(" options: ")[2].partition(" tasks: ")[0]
    # All but the switches and the help itself.
    valued = re.findall(r"--([a-z-]+) [A-Z]", flags)
    assert {"variants", "models", "max-cost-usd", "shard"} <= set(valued)
    assert flags.count("default") == len(valued) + 1
    assert all(task in text for task in TASKS)
    assert "variants: baseline, reasoning, history, history_and_reasoning" in text


def test_runs_are_listed_with_their_state(project: Path, capsys) -> None:
    head, second, first = said(["runs"], capsys, 0).splitlines()
    assert head.split() == ["run", "model", "updated", "(UTC)", "done", "errors", "variants"]
    assert re.match(r"first   offline-player  \d{4}-\d\d-\d\d \d\d:\d\d  4 of 6 +0 +2$", first)
    assert re.search(r" 0 of 1 +1 +1$", second)
    assert max(map(len, (head, first, second))) <= 80
    assert "no run under config yet; begin one:" in said(["runs", "--results", "config"], capsys, 0)


def test_the_table_of_a_run_is_in_the_order_of_its_plan_and_fits_80_columns(project: Path) -> None:
    episodes = Run.open("first", results=project / "results").episodes()
    head, history, baseline = outcome_table(episodes, ["history", "baseline"]).splitlines()
    assert head.split("  ")[0] == "agent"
    assert re.match(r"history +100\.0%  \d+\.\d to 100\.0 .* 2 +0$", history)
    assert re.match(r"baseline +0\.0%  ", baseline)
    assert max(map(len, (head, history, baseline))) <= 80


def test_versions(capsys) -> None:
    assert re.fullmatch(
        r"babyai-kit [\w.]+ \(TensorZero 2026\.6\.0, Python 3\.\d+\.\d+\)\n", said(["--version"], capsys, 0)
    )


@pytest.mark.parametrize(("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", None), ("tcsh", None)])
def test_completion_knows_commands_and_flags(shell: str, check: list[str] | None, capsys) -> None:
    script = said(["completion", shell], capsys, 0)
    assert "reconcile" in script
    assert "max-tokens-total" in script or shell == "tcsh"
    if check:
        subprocess.run(check, input=script, text=True, check=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert painted("error:", "red", Terminal()) == "\x1b[31merror:\x1b[0m"
    assert painted("error:", "red", io.StringIO()) == "error:"
    monkeypatch.setenv("TERM", "dumb")
    assert painted("error:", "red", Terminal()) == "error:"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("error:", "red", Terminal()) == "error:"


def test_doctor_needs_the_standard_library_alone(project: Path) -> None:
    # Without `site` a Python has no packages, as one outside the environment.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "babyai_kit", "doctor"],
        env=environment(PYTHONPATH=""),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    python, packages = done.stdout.splitlines()
    assert python.split()[:3] == ["ok", "Python", f"{sys.version.split()[0]},"]
    assert re.match(
        r"TROUBLE Packages    gymnasium, minigrid, numpy and \d+ more missing; type: \S", packages
    )
    assert done.stderr == "1 problem. The other checks need these packages.\n"


def test_what_to_type_depends_on_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing_packages, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert missing_packages.remedy() == "python -m pip install babyai-kit"
    (tmp_path / "requirements.txt").write_text(
        "pandas\n# none\nno_such_package>=1\n"
        'no_such_backport>=2,<=3; python_version < "3.10"\nno_such_future>=2; python_version < "3.99"\n'
    )
    assert missing_packages.missing_packages() == ["no_such_package", "no_such_future"]
    assert missing_packages.remedy() == "python -m pip install -r requirements.txt"
    (tmp_path / "Makefile").touch()
    assert missing_packages.remedy() == "make doctor"
    activate = tmp_path / ".venv" / f"3.{sys.version_info[1]}" / "bin" / "activate"
    for file in (activate, tmp_path / ".venv/2.7/bin/activate"):
        file.parent.mkdir(parents=True)
        file.touch()
    assert missing_packages.remedy() == f". .venv/3.{sys.version_info[1]}/bin/activate"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert missing_packages.remedy() == f". {activate}"
