"""What ClickHouse holds of a run: steps, feedback and episodes, read with plain SQL.

The tables are those of TensorZero 2026.6.0. All calls block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from babyai_kit.errors import StoreError
from babyai_kit.runs.metrics import CARRIER, from_tags
from babyai_kit.runs.records import EpisodeRecord

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@dataclass(frozen=True)
class StoredStep:
    """One inference of `act`, joined with the model call it made."""

    inference_id: str
    episode_id: str
    step: int
    model_calls: int
    """Rows in ModelInference; 1 in an undisturbed run."""
    input_tokens: int | None
    output_tokens: int | None
    indexed: bool
    """True if the UI and feedback find it by its id."""

    @property
    def whole(self) -> bool:
        """False if a crash of the gateway or of ClickHouse left a part of it only."""
        return self.model_calls > 0 and self.indexed


def stored_steps(client: Client, run_ids: Sequence[str]) -> dict[str, StoredStep]:
    """Stored inferences of the runs with these ids, by inference_id."""
    rows = query(
        client,
        """
        WITH steps AS (
            SELECT id, episode_id, toInt64OrZero(tags['step']) AS step
            FROM (
                SELECT id, episode_id, tags FROM JsonInference WHERE function_name = 'act'
                UNION ALL
                SELECT id, episode_id, tags FROM ChatInference WHERE function_name = 'chat'
            ) WHERE tags['run_id'] IN {run_ids:Array(String)}
        ), calls AS (
            SELECT inference_id, count() AS calls, sum(input_tokens) AS input, sum(output_tokens) AS output
            FROM ModelInference WHERE inference_id IN (SELECT id FROM steps) GROUP BY inference_id
        ), index AS (
            SELECT id_uint FROM InferenceById WHERE id_uint IN (SELECT toUInt128(id) FROM steps)
        )
        SELECT toString(s.id), toString(s.episode_id), s.step, c.calls, c.input, c.output,
               (toUInt128(s.id) IN (SELECT id_uint FROM index))::Bool
        FROM steps AS s LEFT JOIN calls AS c ON c.inference_id = s.id
        """,
        run_ids=list(run_ids),
    )
    return {row[0]: StoredStep(*row) for row in rows}


def stored_feedback(client: Client, run_ids: Sequence[str]) -> dict[str, set[str]]:
    """Names of the metrics that each episode of these runs has, by episode_id."""
    rows = query(
        client,
        """
        SELECT toString(target_id), groupUniqArray(metric_name) FROM (
            SELECT target_id, metric_name, tags FROM BooleanMetricFeedback
            UNION ALL
            SELECT target_id, metric_name, tags FROM FloatMetricFeedback
        ) WHERE tags['run_id'] IN {run_ids:Array(String)} GROUP BY target_id
        """,
        run_ids=list(run_ids),
    )
    return {target: set(names) for target, names in rows}


def stored_episodes(client: Client, run: str, run_ids: Sequence[str] | None = None) -> list[EpisodeRecord]:
    """Finished episodes of `run`, oldest first, one per episode_id; of the runs `run_ids` if given."""
    rows = query(
        client,
        """
        SELECT argMax(tags, timestamp) FROM BooleanMetricFeedback
        WHERE metric_name = {carrier:String} AND tags['run'] = {run:String}
          AND (empty({run_ids:Array(String)}) OR tags['run_id'] IN {run_ids:Array(String)})
        GROUP BY target_id ORDER BY max(timestamp), target_id
        """,
        carrier=CARRIER,
        run=run,
        run_ids=list(run_ids or ()),
    )
    return [from_tags(tags) for (tags,) in rows]


def query(client: Client, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
    try:
        return client.query(sql, parameters=parameters).result_rows
    except Exception as error:
        # The driver raises its own and its HTTP library's errors alike.
        reason = " ".join(str(error).split())[:200]
        raise StoreError(
            f"ClickHouse did not answer; check that it is running: {reason}", kind="store"
        ) from None
