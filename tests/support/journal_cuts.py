"""A journal whose files end at any byte of their last lines, and the run that goes on from it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit import run_experiment
from babyai_kit.gateway.session import Session

FILES = ("steps.jsonl", "episodes.jsonl")


@dataclass(frozen=True)
class Tear:
    """Both files of a journal cut to so many bytes."""

    steps: int
    episodes: int


def tears(folder: Path, every: int = 1) -> Iterator[Tear]:
    """One file whole and the other cut at each `every`-th offset of its last line; both cut together."""
    whole = [(folder / name).stat().st_size for name in FILES]
    starts = [(folder / name).read_bytes()[:-1].rfind(b"\n") + 1 for name in FILES]
    for end in range(starts[0], whole[0] + 1, every):
        yield Tear(end, whole[1])
    for end in range(starts[1], whole[1] + 1, every):
        yield Tear(whole[0], end)
        yield Tear(max(starts[0], whole[0] - 1 - (end - starts[1])), end)


async def resume_all(
    session: Session, run: str, results: Path, plan: dict[str, Any], every: int, scratch: Path
) -> tuple[int, list[pd.DataFrame]]:
    """Tear the journal of `run` in every way, go on with each; their number and the tables they come to."""
    limit = asyncio.Semaphore(12)

    async def resume(number: int, tear: Tear) -> pd.DataFrame:
        async with limit:
            place = scratch / str(number)
            folder = Path(shutil.copytree(results / run, place / run))
            for name, size in zip(FILES, (tear.steps, tear.episodes), strict=True):
                with (folder / name).open("r+b") as file:
                    file.truncate(size)
            table = await run_experiment(session, run, **plan, results=place, progress=False)
            shutil.rmtree(place)
            return table

    every_way = list(tears(results / run, every))
    return len(every_way), await asyncio.gather(*(resume(i, tear) for i, tear in enumerate(every_way)))
