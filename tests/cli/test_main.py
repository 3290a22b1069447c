"""The two ways to start the command line, and the versions of Python that it states."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module

import tomlkit

from babyai_kit.python_version import MAX_PYTHON, MIN_PYTHON, SUPPORTED
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
