"""Which runs a folder of results holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from babyai_kit.configuration.project import StrPath
from babyai_kit.runs.journal import MANIFEST, RUN_NAME


def run_names(results: StrPath) -> list[str]:
    """The runs under `results`, those in shards too, the latest first; none if there is no such folder."""
    folders = ((_began(folder), folder.name) for folder in _folders(Path(results)))
    return [name for began, name in sorted(((b, n) for b, n in folders if b is not None), reverse=True)]


def _folders(results: Path) -> Iterator[Path]:
    try:
        yield from (path for path in results.iterdir() if RUN_NAME.fullmatch(path.name))
    except OSError:
        return


def _began(folder: Path) -> float | None:
    """When the run's manifest was last written, in seconds since 1970; None if there is none."""
    try:
        manifests = [folder / MANIFEST, *folder.glob(f"shards/*/{MANIFEST}")]
        times = [path.stat().st_mtime for path in manifests if path.is_file()]
    except OSError:
        return None
    return max(times, default=None)
