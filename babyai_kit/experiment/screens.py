"""Where a run's progress is shown: a bar on a terminal, an output that changes in place in a notebook, or a
line every few seconds where nobody looks on, as under nohup, in CI, or when a notebook is executed by a
program.
"""

from __future__ import annotations

import html
import shutil
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from tqdm import tqdm

LINE_EVERY_S = 5.0


class Screen(Protocol):
    """What `Progress` needs to show itself."""

    every_s: float
    """How often it is to be drawn anew."""

    def draw(self, done: int, total: int, parts: Sequence[str]) -> None:
        """Show the state: `parts` are phrases, the most important first."""

    def say(self, line: str) -> None:
        """Print a line that stays."""

    def close(self) -> None:
        """Leave the last state in view."""


def screen_for_output() -> Screen:
    """The screen that fits where this process's output goes."""
    kernel = _kernel()
    if kernel is not None:
        return NotebookScreen() if _is_attended(kernel) else LineScreen()
    return TerminalScreen() if sys.stderr is not None and sys.stderr.isatty() else LineScreen()


def _kernel() -> Any:
    """The Jupyter kernel that this code runs in, or None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None)


def _is_attended(kernel: Any) -> bool:
    """True if a front end sent the cell: it offers to ask its user for input, and programs do not."""
    try:
        return bool(kernel.get_parent("shell")["content"]["allow_stdin"])
    except (AttributeError, KeyError, TypeError):
        return True


class HiddenScreen:
    """Shows only the lines that are said."""

    every_s = LINE_EVERY_S

    def draw(self, done: int, total: int, parts: Sequence[str]) -> None:
        pass

    def say(self, line: str) -> None:
        print(line, flush=True)

    def close(self) -> None:
        pass


class LineScreen(HiddenScreen):
    """A line each time, on standard output."""

    def draw(self, done: int, total: int, parts: Sequence[str]) -> None:
        print(", ".join(parts), flush=True)


class TerminalScreen:
    """A bar on standard error that gives its room to the phrases."""

    every_s = 0.5

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def draw(self, done: int, total: int, parts: Sequence[str]) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, bar_format="{percentage:3.0f}% {bar} {desc}", dynamic_ncols=True)
        self._bar.n = done
        self._bar.set_description_str(fitting(parts, shutil.get_terminal_size().columns - 8), refresh=True)

    def say(self, line: str) -> None:
        tqdm.write(line)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class NotebookScreen:
    """An output of the cell, as text and as HTML; both stay readable in a saved notebook."""

    every_s = 1.0

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, done: int, total: int, parts: Sequence[str]) -> None:
        from IPython.display import display

        text = ", ".join(parts)
        page = f'<progress value="{done}" max="{total}"></progress> {html.escape(text)}'
        content = {"text/plain": text, "text/html": page}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def say(self, line: str) -> None:
        print(line, flush=True)

    def close(self) -> None:
        pass


def fitting(parts: Sequence[str], columns: int) -> str:
    """As many of `parts` as fit `columns`, from the first on; the first in any case."""
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 2 + len(part) > columns:
            break
        text += f", {part}"
    return text
