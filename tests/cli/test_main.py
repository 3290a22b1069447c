"""The command line as a whole: two ways to start it, and what it states that is decided elsewhere."""

from __future__ import annotations

import argparse
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import pytest
import tomlkit

from babyai_kit import finetune, run_experiment
from babyai_kit.__main__ import _parser
from babyai_kit.experiment.options import RunOptions
from babyai_kit.python_version import MAX_PYTHON, MIN_PYTHON, SUPPORTED
from babyai_kit.runs.plan import Sampling, make_plan
from tests.support.project import ROOT

PROJECT = tomlkit.parse((ROOT / "pyproject.toml").read_text()).unwrap()["project"]


def output(*command: str) -> str:
    return subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_the_console_script_is_the_same_command_line():
    module, _, function = PROJECT["scripts"]["babyai"].partition(":")
    assert callable(getattr(import_module(module), function))
    # As pip writes the script.
    script = f"import sys; from {module} import {function}; sys.argv[0] = 'babyai'; sys.exit({function}())"
    for command in ([], ["finetune"], ["finetune", "launch"]):
        assert output("-c", script, *command) == output("-m", "babyai_kit", *command)


def test_supported_versions_are_the_same_everywhere():
    (major, oldest), (_, newest) = MIN_PYTHON, MAX_PYTHON
    assert PROJECT["requires-python"] == f">={major}.{oldest},<{major}.{newest + 1}"
    makefile = (ROOT / "Makefile").read_text()
    assert f"{MIN_PYTHON} <= sys.version_info[:2] <= {MAX_PYTHON}" in makefile
    assert re.findall(r"Python (\S+ to \S+) is needed", makefile) == [SUPPORTED]


@pytest.mark.parametrize(
    ("command", "functions", "count"),
    [
        (["run"], [make_plan, RunOptions, Sampling], 5),
        (["finetune", "launch"], [finetune.curate, finetune.launch], 3),
        (["finetune", "evaluate"], [run_experiment, finetune.evaluate], 5),
        (["finetune", "improve"], [run_experiment, finetune.improve], 9),
    ],
)
def test_defaults_in_the_help_are_those_of_the_functions(
    command: list[str], functions: list[Callable], count: int
):
    parser = _parser()
    for word in command:
        (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = subparsers.choices[word]
    defaults = {n: p.default for f in functions for n, p in inspect.signature(f).parameters.items()}
    stated = {}
    for action in parser._actions:
        text = (action.help or "") % {"default": action.default}
        match = re.search(r"default: ([\w.]+)\)?$", text)
        if match and match[1] != "none" and action.default in (None, defaults[action.dest]):
            stated[action.dest] = match[1]
    assert stated == {name: str(defaults[name]) for name in stated}
    assert len(stated) == count
