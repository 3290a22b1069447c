"""The figures of a run, as the report has them, in a process of their own: they take seconds and memory.

The request comes in as JSON, {run, results, failures}, and the figures go out likewise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from babyai_kit.configuration.project import StrPath
from babyai_kit.errors import JournalError, KitError
from babyai_kit.runs.commands import command_line
from babyai_kit.viewer import child_process
from babyai_kit.viewer.contents import Contents
from babyai_kit.viewer.run_index import RunIndex

Figure = dict[str, str]
"""name, title, svg, caption."""


class Drawings:
    """The figures of the runs under `results`, drawn when they are asked for, and kept."""

    PATIENCE = 10
    """Figures of a run that is being written are drawn again after so many times what they took."""

    def __init__(self, results: StrPath) -> None:
        self._results = os.fspath(results)
        self._turn = threading.Lock()
        self._drawn: dict[str, tuple[str, float, list[Figure]]] = {}
        """By run: of which version, until when they will do for others, the figures."""
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def figures(self, run: str, version: str, failures: Mapping[str, str] | None) -> list[Figure]:
        """`figures_of` the run, whose version this is."""
        with self._turn:
            known = self._drawn.get(run)
            if known is None or (known[0] != version and time.monotonic() > known[1]):
                begun = time.monotonic()
                figures = self._draw({"run": run, "results": self._results, "failures": failures})
                now = time.monotonic()
                known = self._drawn[run] = version, now + self.PATIENCE * (now - begun), figures
            return known[2]

    def close(self) -> None:
        """Stop drawing."""
        self._closed = True
        if self._process is not None:
            self._process.kill()

    def _draw(self, request: Mapping[str, Any]) -> list[Figure]:
        if self._closed:
            return []
        self._process = child_process.start(__name__)
        output, _ = self._process.communicate(json.dumps(request).encode())
        try:
            figures: list[Figure] = json.loads(output)
        except ValueError:
            raise JournalError(
                f"the figures of {request['run']} cannot be drawn; see what its report says: "
                f"{command_line('report', request['run'], results=self._results)}"
            ) from None
        return figures


def figures_of(contents: Contents, failures: Mapping[str, str] | None) -> list[Figure]:
    """The figures of a run, of the settings that its report would show. `failures`: the classes of all failed
    episodes; None leaves that figure out."""
    from babyai_kit.figures import failure_classes, known_figures, paired_differences
    from babyai_kit.report.tables import first_agent

    episodes = _selected(contents)
    if episodes.empty:
        return []
    drawn: dict[str, Callable[[], Any]] = {
        name: partial(draw, episodes) for name, draw in known_figures(episodes).items()
    }
    if "paired_differences" in drawn:
        drawn["paired_differences"] = partial(paired_differences, episodes, first_agent(episodes))
    if failures is not None:
        table = pd.DataFrame({"episode_id": list(failures), "failure": list(failures.values())})
        drawn["failure_classes"] = partial(failure_classes, episodes, table)
    figures = (_figure(name, draw) for name, draw in drawn.items())
    return [figure for figure in figures if figure is not None]


def _selected(contents: Contents) -> pd.DataFrame:
    """The `episodes` table of the settings with the most seeds, as in the report."""
    from babyai_kit.runs.episode_table import to_frame
    from babyai_kit.runs.run import Run
    from babyai_kit.runs.selection import select

    episodes = to_frame(contents.records.values())
    manifest = contents.manifest
    if manifest is None or episodes.empty:
        return episodes
    plans = dict.fromkeys(plan for one in contents.manifests for plan in one.plans)
    run = Run(contents.folder, replace(manifest, plans=tuple(plans)))
    return select(run, episodes).rows(episodes)


def _figure(name: str, draw: Callable[[], Any]) -> Figure | None:
    """With its title and caption as text, which stays legible where the picture shrinks; None where there is
    nothing to compare."""
    try:
        chart = draw()
    except KitError:
        return None
    title, caption = chart.get_suptitle(), chart.get_supxlabel()
    chart.supxlabel("")
    return {"name": name, "title": _text(title), "svg": chart.svg(), "caption": _text(caption)}


def _text(text: str) -> str:
    return " ".join(text.replace("\\$", "$").split())


def main() -> None:
    """Answer the request on the standard input."""
    child_process.leave_interrupts_to_the_viewer()
    request = json.load(sys.stdin)
    contents = RunIndex(request["results"], request["run"]).contents(steps=False)
    json.dump(figures_of(contents, request["failures"]), sys.stdout)


if __name__ == "__main__":
    main()
