"""`view`: the viewer in a notebook, served by a thread of this process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.viewer.addresses import place_of
from babyai_kit.viewer.export import export
from babyai_kit.viewer.library import Library
from babyai_kit.viewer.server import running_server

HEIGHT = 800
"""Pixels of the viewer in a notebook."""


def view(*runs: str, results: StrPath = PROJECT_RESULTS) -> View:
    """The viewer at these runs (none: at all of `results`): a cell's value shows it, `url` leads to it.

    All views of a folder of results share one server, which ends when each was closed, or with this process.
    Raises InputError for an unknown run.
    """
    place = place_of(runs, Library(results))
    return View(runs=runs, results=results, place=place, server=_server_of(results))


@dataclass(eq=False, repr=False)
class View:
    """The viewer at some runs, in a notebook as a cell's value, and anywhere at `url`."""

    runs: tuple[str, ...]
    results: StrPath
    place: str
    server: _Server = field(repr=False)
    is_closed: bool = False

    @property
    def url(self) -> str:
        """Its address, which is secret: whoever knows it on this machine sees the runs."""
        return f"{self.server.address}{self.place}"

    def close(self) -> None:
        """End the server, unless another view needs it. Closing twice is harmless."""
        if not self.is_closed:
            self.is_closed = True
            self.server.release()

    def export(self, folder: StrPath) -> Path:
        """Write the runs, or all there are, as static files; see `viewer.export.export`."""
        runs: Sequence[str] = self.runs or Library(self.results).names()
        return export(runs, folder, results=self.results)

    def _repr_html_(self) -> str:
        return Markup(
            '<iframe src="{0}" title="BabyAI viewer" referrerpolicy="no-referrer" '
            'style="width:100%;height:{1}px;border:1px solid #ccc;border-radius:6px"></iframe>'
            '<p><a href="{0}" target="_blank" rel="noopener noreferrer">Open it in a tab of its own</a></p>'
        ).format(self.url, HEIGHT)

    def __repr__(self) -> str:
        return f"<viewer at {'an address that is closed' if self.is_closed else self.url}>"


class _Server:
    """A viewer's server in a thread with a loop of its own."""

    def __init__(self, results: StrPath) -> None:
        self._results = results
        self._loop = asyncio.new_event_loop()
        self._ends = asyncio.Event()
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._users = 0
        self.address = ""
        self._thread = threading.Thread(target=self._run, name="babyai viewer", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._trouble is not None:
            raise self._trouble

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def use(self) -> None:
        self._users += 1

    def release(self) -> None:
        """End it if nobody uses it any more."""
        with _LOCK:
            self._users -= 1
            if self._users:
                return
            for key in [key for key, server in _SERVERS.items() if server is self]:
                del _SERVERS[key]
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._trouble = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with running_server(self._results, framed=True) as address:
            self.address = address
            self._ready.set()
            await self._ends.wait()


_LOCK = threading.Lock()
_SERVERS: dict[tuple[int, str], _Server] = {}
"""By process, which may have been forked, and folder of results."""


def _server_of(results: StrPath) -> _Server:
    key = os.getpid(), str(Path(results).resolve())
    with _LOCK:
        if key not in _SERVERS or not _SERVERS[key].is_alive:
            _SERVERS[key] = _Server(results)
        _SERVERS[key].use()
        return _SERVERS[key]
