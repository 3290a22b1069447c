"""What ClickHouse holds of workflow evaluations, in the tables of TensorZero 2026.6.0. All calls block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from babyai_kit.store.queries import query

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def newest_run(client: Client, project: str) -> str | None:
    """Id of the newest workflow evaluation run of `project`; None without one, or without the gateway's
    tables. Raises StoreError."""
    if not query(client, "EXISTS TABLE DynamicEvaluationRun")[0][0]:
        return None
    rows = query(
        client,
        """
        SELECT toString(uint_to_uuid(run_id_uint)) FROM DynamicEvaluationRun
        WHERE project_name = {project:String} ORDER BY updated_at DESC LIMIT 1
        """,
        project=project,
    )
    return str(rows[0][0]) if rows else None


def holds_run(client: Client, run_id: str) -> bool:
    """True if the workflow evaluation run is stored. Raises StoreError."""
    return _holds(client, "DynamicEvaluationRun", "run_id_uint", run_id)


def holds_episode(client: Client, episode_id: str) -> bool:
    """True if the episode of a workflow evaluation is stored. Raises StoreError."""
    return _holds(client, "DynamicEvaluationRunEpisode", "episode_id_uint", episode_id)


def _holds(client: Client, table: str, column: str, uuid: str) -> bool:
    if not query(client, f"EXISTS TABLE {table}")[0][0]:
        return False
    sql = f"SELECT count() FROM {table} WHERE {column} = toUInt128(toUUID({{id:String}}))"
    return bool(query(client, sql, id=uuid)[0][0])
