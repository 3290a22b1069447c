"""`load_episodes`: the table of a run, from the journal or from ClickHouse.

Knows where the two records are; the table itself is made in `records`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit.errors import InputError
from babyai_kit.runs.journal import existing_run, read_episodes, read_run, run_folder
from babyai_kit.runs.manifest import run_ids
from babyai_kit.runs.records import EpisodeKey, EpisodeRecord, to_frame
from babyai_kit.store.client import clickhouse_client
from babyai_kit.store.queries import stored_episodes


def load_episodes(
    run: str,
    *,
    results: str | Path = "results",
    source: str = "journal",
    all_versions: bool = False,
) -> pd.DataFrame:
    """The `episodes` table of `run`: a row per finished episode, columns as in README, sorted by key.

    `source`: "journal" (what was measured and paid for, errors included) or "clickhouse" (what the gateway
    stored; status ok only). The two agree on the rows that both hold. Only rows made with the run's present
    prompts count, unless `all_versions`. Raises InputError for an unknown source or run, StoreError if
    ClickHouse cannot be reached.
    """
    folder = run_folder(results, run)
    manifest = read_run(folder)
    if source == "journal":
        existing_run(results, run)
        records = list(read_episodes(folder).values())
    elif source == "clickhouse":
        client = clickhouse_client()
        try:
            records = stored_episodes(client, run, run_ids(manifest) if manifest else None)
        finally:
            client.close()
    else:
        raise InputError(f"unknown source {source!r}; use 'journal' or 'clickhouse'")
    return to_frame(records if all_versions else _present(records, manifest))


def _present(records: list[EpisodeRecord], manifest: dict[str, Any]) -> list[EpisodeRecord]:
    """The last record of each key, of the prompts named by the manifest (or the newest of each variant)."""
    digests = {r.variant: r.variant_digest for r in records} | manifest.get("digests", {})
    last: dict[EpisodeKey, EpisodeRecord] = {}
    for record in records:
        if record.variant_digest == digests[record.variant]:
            last[record.key] = record
    return list(last.values())
