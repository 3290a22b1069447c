"""Group commit: many small inserts share few statements, and each caller learns the outcome of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from babyai_kit.local.clickhouse.connection import EngineError
from babyai_kit.local.clickhouse.insert_queues import InsertQueues


class _Connection:
    def __init__(self, engine: _Engine) -> None:
        self.engine = engine

    async def run(self, work, *args):
        await asyncio.sleep(0.01)
        return work(*args)

    def insert(self, statement, input_format, rows):
        body = b"".join(rows)
        self.engine.statements.append((statement, body))
        if b"bad" in body:
            raise EngineError(self.engine.error)
        return 3 * body.count(b"\n")  # two views behind the table


class _Engine:
    """Stands in for the engine; a body that contains `bad` fails with `error`."""

    def __init__(self, error: str = "Code: 27. DB::Exception: Cannot parse (at row 1). (X)") -> None:
        self.statements: list[tuple[str, bytes]] = []
        self.error = error

    @contextlib.asynccontextmanager
    async def lease(self, database, settings):
        yield _Connection(self)


def _run(engine: _Engine, bodies: list[bytes], **limits: int) -> list[int | BaseException]:
    async def work():
        queues = InsertQueues(engine, **limits)  # type: ignore[arg-type]
        calls = [queues.add("db", "INSERT INTO t", "JSONEachRow", {}, body) for body in bodies]
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(work())


def test_inserts_share_a_statement():
    engine = _Engine()
    outcome = _run(engine, [b'{"a":1}'] * 50)
    assert outcome == [3] * 50
    assert [body.count(b"\n") for _, body in engine.statements] == [50]


def test_each_caller_learns_its_own_row_count():
    assert _run(_Engine(), [b"{}\n{}\n", b"{}", b"{}\n{}\n{}"]) == [6, 3, 9]


def test_a_bad_row_fails_only_its_caller():
    outcome = _run(_Engine(), [b"{}", b"bad", b"{}"])
    assert outcome[0] == outcome[2] == 3
    assert isinstance(outcome[1], EngineError)


@pytest.mark.parametrize(
    "error",
    [
        "Code: 243. DB::Exception: Cannot reserve space. (NOT_ENOUGH_SPACE)",
        "Code: 27. DB::Exception: Cannot parse: while pushing to view v: (at row 1). (CANNOT_PARSE_TEXT)",
    ],
)
def test_after_other_errors_nothing_is_written_twice(error):
    engine = _Engine(error)
    outcome = _run(engine, [b"{}", b"bad", b"{}"])
    assert all(isinstance(one, EngineError) for one in outcome)
    assert len(engine.statements) == 1


def test_groups_are_bounded():
    engine = _Engine()
    _run(engine, [b"{}\n"] * 7, max_group_bytes=10)
    assert max(len(body) for _, body in engine.statements) <= 10
    assert sum(body.count(b"\n") for _, body in engine.statements) == 7


def test_a_caller_who_leaves_does_not_disturb_the_rest():
    async def work():
        queues = InsertQueues(_Engine())  # type: ignore[arg-type]
        first = asyncio.create_task(queues.add("db", "I", "JSONEachRow", {}, b"{}"))
        second = asyncio.create_task(queues.add("db", "I", "JSONEachRow", {}, b"{}"))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(work()) == 3


ASYNC = "SETTINGS async_insert=1, wait_for_async_insert=1"


def test_concurrent_inserts_into_the_real_engine(http, client, table):
    """As the gateway sends them: 200 callers, three of them with invalid rows."""

    def insert(i: int) -> tuple[int, int]:
        row = '{"a":"no number","s":"x"}' if i % 70 == 5 else f'{{"a":{i},"s":"{i}"}}'
        answer = http.database(f"INSERT INTO {table} {ASYNC} FORMAT JSONEachRow\n{row}")
        return i, answer.status

    with ThreadPoolExecutor(32) as pool:
        statuses = dict(pool.map(insert, range(200)))

    bad = {i for i in range(200) if i % 70 == 5}
    assert {i for i, status in statuses.items() if status != 200} == bad
    assert all(statuses[i] == 400 for i in bad)
    stored = [row[0] for row in client.query(f"SELECT a FROM {table} ORDER BY a").result_rows]
    assert stored == sorted(set(range(200)) - bad)


@pytest.mark.parametrize("wait", [0, 1])
def test_no_insert_is_asynchronous(http, client, table, wait):
    """Whatever the client asks for: the rows are there, or the caller gets the error."""
    insert = f"INSERT INTO {table} SETTINGS async_insert=1, wait_for_async_insert={wait} FORMAT JSONEachRow"
    for number in range(3):
        assert http.database(f'{insert}\n{{"a":{number},"s":""}}', async_insert="1").status == 200
        assert client.command(f"SELECT count() FROM {table}") == number + 1
    assert http.database(f'{insert}\n{{"a":"no number"}}').status == 400


def test_a_failing_view_writes_nothing_twice(http, client, table):
    """An error behind the table: a row acknowledged with 200 is stored once, any other at most once."""
    client.command(f"CREATE TABLE {table}_v (a Int64) ENGINE = MergeTree ORDER BY a")
    client.command(
        f"CREATE MATERIALIZED VIEW {table}_mv TO {table}_v AS SELECT throwIf(a = 7) + a AS a FROM {table}"
    )

    def insert(i: int) -> tuple[int, int]:
        return i, http.database(f'INSERT INTO {table} FORMAT JSONEachRow\n{{"a":{i},"s":""}}').status

    try:
        with ThreadPoolExecutor(16) as pool:
            statuses = dict(pool.map(insert, range(40)))
        stored = [row[0] for row in client.query(f"SELECT a FROM {table}").result_rows]
        viewed = [row[0] for row in client.query(f"SELECT a FROM {table}_v").result_rows]
        assert statuses[7] != 200
        for rows in (stored, viewed):
            assert len(rows) == len(set(rows))
            assert {i for i, status in statuses.items() if status == 200} <= set(rows)
    finally:
        client.command(f"DROP VIEW {table}_mv")
        client.command(f"DROP TABLE {table}_v")


@pytest.mark.parametrize("body", ["", "\n\n"])
def test_an_insert_without_rows(http, table, body):
    answer = http.database(f"INSERT INTO {table} FORMAT JSONEachRow{body}")
    assert answer.status == 200, answer.text


def test_rows_and_statement_may_travel_apart(http, client, table):
    rows = '{"a":1,"s":"x"}\n'
    assert http.database(rows, query=f"INSERT INTO {table} FORMAT JSONEachRow").status == 200
    assert http.database(rows, query=f"INSERT INTO {table} FORMAT JSONEachRow {rows}").status == 200
    assert http.database("(2,'y'), (3,'z')", query=f"INSERT INTO {table} VALUES").status == 200
    assert http.database(" 4,q\n", query=f"INSERT INTO {table} FORMAT CSV\n").status == 200
    assert client.query(f"SELECT a FROM {table} ORDER BY a").result_columns == [[1, 1, 1, 2, 3, 4]]


def test_summary_counts_views_too(http, client, table):
    client.command(f"CREATE TABLE {table}_v (a Int64) ENGINE = MergeTree ORDER BY a")
    client.command(f"CREATE MATERIALIZED VIEW {table}_mv TO {table}_v AS SELECT a FROM {table}")
    answer = http.database(f"INSERT INTO {table} FORMAT JSONEachRow\n" + '{"a":1,"s":"x"}\n' * 3)
    client.command(f"DROP VIEW {table}_mv")
    client.command(f"DROP TABLE {table}_v")
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "6"
