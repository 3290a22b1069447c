"""`load_episodes`: the `episodes` table of a run, from the journal or from ClickHouse."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pandas as pd

from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.errors import InputError
from babyai_kit.runs.episode_table import to_frame
from babyai_kit.runs.journal import run_folder
from babyai_kit.runs.records import present
from babyai_kit.runs.run import Run
from babyai_kit.store.client import clickhouse_client
from babyai_kit.store.queries import stored_episodes

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def load_episodes(
    run: str,
    *,
    results: StrPath = PROJECT_RESULTS,
    source: str = "journal",
    all_versions: bool = False,
    client: Client | None = None,
) -> pd.DataFrame:
    """The `episodes` table of `run`: a row per finished episode, sorted by key; see EpisodeRecord.

    `source`: "journal" (what was measured and paid for, errors included) or "clickhouse" (what the gateway
    stored; status ok only). The two agree on the rows that both hold. Only rows made with the run's present
    prompts count, unless `all_versions`. `client`: of the ClickHouse to ask; None: the configured one.
    Raises InputError for an unknown source or run, StoreError if ClickHouse cannot be reached.
    """
    if source == "journal":
        return Run.open(run, results=results).episodes(all_versions=all_versions)
    if source != "clickhouse":
        raise InputError(f"unknown source {source!r}; use 'journal' or 'clickhouse'")
    on_disk = Run.at(run_folder(results, run))
    with contextlib.ExitStack() as stack:
        if client is None:
            client = stack.enter_context(contextlib.closing(clickhouse_client()))
        records = stored_episodes(client, run, on_disk.manifest.run_ids if on_disk else None)
    digests = on_disk.manifest.digests if on_disk else {}
    return to_frame(records if all_versions else present(records, digests))
