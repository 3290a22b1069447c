"""Runs as a folder of static files, which any browser opens from disk and any web host serves.

The folder has the application, and the data in scripts that hand over JSON in gzip and base64: a page from
disk may load scripts and nothing else. What models wrote is text in there, whatever it looks like.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from babyai_kit.atomic_files import write_atomically
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.configuration.secrets import redacted
from babyai_kit.errors import FileWriteError, InputError, JournalError
from babyai_kit.replay.view import episode_view
from babyai_kit.runs.journal import STEPS
from babyai_kit.runs.provenance import Provenance
from babyai_kit.runs.records import EpisodeKey
from babyai_kit.runs.trajectories import trajectory_of
from babyai_kit.viewer.app_files import app_file, app_names, index_page, policy
from babyai_kit.viewer.comparison import comparison, sides_of
from babyai_kit.viewer.contents import Contents
from babyai_kit.viewer.drawing import figures_of
from babyai_kit.viewer.library import Library
from babyai_kit.viewer.run_table import CHUNK, summary, table

MARK = "babyai-export.json"
"""The file by which an export is known as one."""

MIN_SECRET = 12
"""Characters of a setting's secret that is looked for in an export; shorter ones are stand-ins, like `none`,
and words of other texts."""

Say = Callable[[str], object]


def export(
    runs: str | Sequence[str],
    folder: StrPath,
    *,
    results: StrPath = PROJECT_RESULTS,
    say: Say = lambda line: None,
) -> Path:
    """Write these runs as they are now to `folder`, in the place of an earlier export; returns index.html.

    The folder is replaced as a whole or not at all. `say`: told in a line what is being done, as by `print`.
    Raises InputError for an unknown run and for a folder that holds anything else or cannot be written.
    """
    names = [runs] if isinstance(runs, str) else list(dict.fromkeys(runs))
    if not names:
        raise InputError("there is nothing to export; name at least one run")
    target = Path(folder).absolute()
    _check(target, folder)
    library = Library(results)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        for name in names:
            library.check(name)
        _write_all(library, names, part, say)
        _replace(target, part)
    except OSError as error:
        raise FileWriteError(
            f"cannot write {folder} ({error.strerror or error}); free some space, check its permissions, or "
            "choose another place"
        ) from None
    finally:
        library.close()
        shutil.rmtree(part, ignore_errors=True)
    return Path(folder) / "index.html"


def _check(target: Path, folder: StrPath) -> None:
    """Raises InputError if `target` holds anything but an earlier export."""
    try:
        is_free = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    except OSError as error:
        raise InputError(f"cannot read {folder} ({error.strerror or error}); choose another folder") from None
    if not is_free and not (target / MARK).is_file():
        raise InputError(f"{folder} holds something else than an earlier export; choose another folder")


def _replace(target: Path, part: Path) -> None:
    """Put `part` in the place of `target`."""
    old = part.with_suffix(".old")
    if target.exists():
        target.rename(old)
    try:
        part.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_all(library: Library, names: Sequence[str], part: Path, say: Say) -> None:
    for name in app_names():
        if (text := app_file(name)) is not None:
            write_atomically(part / "app" / name, text)
    contents = [library.index(name).contents() for name in names]
    for of_run in contents:
        say(f"Exporting run {of_run.name}: {len(of_run.records) + len(of_run.begun)} episodes.")
        failures: dict[str, str] = {}
        for number, chunk in enumerate(_chunks(of_run)):
            episodes = [episode for key in chunk if (episode := _episode(library, of_run, key))]
            views = [episode["view"] for episode in episodes]
            failures |= {view["id"]: (view["failure"] or {}).get("name", "") for view in views}
            _write(part, f"episodes/{of_run.name}/{number}", episodes)
        known = {name: failures.get(name, "") for name in of_run.failed}
        _write(part, f"run/{of_run.name}", table(of_run, known, library.results))
        say(f"Drawing figures of run {of_run.name}.")
        _write(part, f"figures/{of_run.name}", figures_of(of_run, known))
    sides = list(chain.from_iterable(((of_run, side) for side in sides_of(of_run)) for of_run in contents))
    for of_run in contents:
        pairs = [comparison(of_run, a, other, b) for a in sides_of(of_run) for other, b in sides if a != b]
        _write(part, f"compare/{of_run.name}", pairs)
    _write(part, "runs", [summary(of_run, library.results) for of_run in contents], file="export")
    write_atomically(part / "index.html", _page())
    write_atomically(part / MARK, json.dumps({"runs": list(names)}) + "\n")


def _chunks(contents: Contents) -> Iterator[list[EpisodeKey]]:
    """The episodes that have begun, as the column `chunk` of the run's table counts them."""
    begun = [key for key in contents.keys if contents.episode_id(key) is not None]
    yield from (begun[i : i + CHUNK] for i in range(0, len(begun), CHUNK))


def _episode(library: Library, contents: Contents, key: EpisodeKey) -> dict[str, Any] | None:
    """EpisodeView and Prompts, without steps where they are damaged; None if nothing is left of it."""
    place = contents.name, contents.episode_id(key) or ""
    try:
        return {"view": library.episode(*place), "prompts": library.prompts(*place)}
    except JournalError as error:
        record = contents.records.get(key)
        if record is None:
            return None
        empty = trajectory_of(record, (), Provenance(contents.folder / STEPS))
        view = episode_view(empty, way=False) | {"run": contents.name, "notReplayed": str(error)}
        return {"view": view, "prompts": {"note": str(error), "steps": [], "closing": []}}


def _page() -> str:
    """index.html with its policy, and with the data after the script that takes them."""
    rules = policy(connect_src="'none'")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
    first, after = '<meta charset="utf-8">', '<script defer src="app/source.js"></script>'
    page = index_page()
    page = page.replace(first, f"{first}\n{meta}", 1)
    return page.replace(after, f'{after}\n<script defer src="data/export.js"></script>', 1)


def _write(part: Path, key: str, value: Any, *, file: str = "") -> None:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    packed = gzip.compress(redacted(text, min_length=MIN_SECRET).encode(errors="replace"), mtime=0)
    script = f'kit.loaded({json.dumps(key)}, "{base64.b64encode(packed).decode()}");\n'
    write_atomically(part / "data" / f"{file or key}.js", script)
