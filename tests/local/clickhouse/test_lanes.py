"""Queries keep neither inserts nor tables nor each other waiting for long, and end by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from babyai_kit.local.clickhouse.connection import EngineError
from babyai_kit.local.clickhouse.lanes import Lane, MemoryBudget
from tests.local.clickhouse.test_departed_clients import ENDLESS, HOUR, Client, until


@contextlib.contextmanager
def endless_queries(server, http, number: int) -> Iterator[None]:
    def count() -> int:
        sql = f"SELECT count() FROM system.processes WHERE query LIKE '{ENDLESS}%'"
        return int(http(method="GET", query=sql).text)

    queries = [Client(server.url, f"{ENDLESS} {HOUR}") for _ in range(number)]
    until(lambda: count() == number)
    yield
    for query in queries:
        query.leave()
    until(lambda: count() == 0)


def test_clients_work_while_eight_queries_run(server, http, client, table):
    memory = "SELECT toUInt64(getSetting('max_memory_usage'))"
    alone = client.command(memory)
    with endless_queries(server, http, 8):
        client.insert(table, [[3, "native"]], column_names=["a", "s"])
        assert client.query(f"SELECT a, s FROM {table}").result_rows == [(3, "native")]
        # What eight may use and what is left for others is less than all.
        assert client.command(memory) < alone


def test_changes_go_on_while_no_query_finds_a_place(server, http, table):
    with endless_queries(server, http, 12):
        assert http.database(f'INSERT INTO {table} FORMAT JSONEachRow\n{{"a":1,"s":"grouped"}}').status == 200
        assert http.database(f"INSERT INTO {table} VALUES (2, 'alone')").status == 200
        assert http.database(f"ALTER TABLE {table} ADD COLUMN b Int8").status == 200
        assert http.database(f"INSERT INTO {table} (a, s) SELECT 3, 'selected'").status == 200
        assert http(method="GET", path="/ping").text == "Ok.\n"
        rows = http(method="GET", query=f"SELECT a, s FROM babyai.{table} ORDER BY a").text
    assert rows == "1\tgrouped\n2\talone\n3\tselected\n"


async def test_whoever_finds_no_place_in_time_is_told_so():
    with pytest.raises(EngineError, match="end one of them, or try again later") as caught:
        async with Lane([], max_wait_s=0.01).lease("default", {}):
            pass
    assert caught.value.code == 202


def test_memory_for_one_is_much_and_for_all_not_too_much():
    budget = MemoryBudget(1000)
    shares = [budget.share() for _ in range(30)]
    granted = [share.__enter__() for share in shares]
    assert granted[0] == 250
    assert sum(granted) <= 1000
    for share in reversed(shares):
        share.__exit__(None, None, None)
    with budget.share() as again:
        assert again == 250


def _seconds(http, **request: str) -> float:
    return float(http(**request).text)


def test_a_query_has_a_minute_unless_it_says_otherwise(http, client, table):
    sql = "SELECT getSetting('max_execution_time')"
    assert _seconds(http, sql=sql) == 60
    assert _seconds(http, method="GET", query=sql) == 60
    assert _seconds(http, sql=sql, max_execution_time="3600") == 3600
    assert _seconds(http, sql=f"{sql} SETTINGS max_execution_time = 600") == 600
    # What one request allowed itself is gone with the next.
    assert _seconds(http, sql=sql) == 60

    http.database(f"INSERT INTO {table} SELECT getSetting('max_execution_time'), ''")
    assert client.query(f"SELECT a FROM {table}").result_rows == [(3600,)]


def test_memory_that_one_request_allowed_itself_is_gone_with_the_next(http):
    sql = "SELECT getSetting('max_memory_usage')"
    before = http(sql).text
    assert http(sql, max_memory_usage="123456789").text == "123456789\n"
    assert http(sql).text == before


@pytest.mark.parametrize("seconds", ["0", "3601"])
def test_no_statement_may_run_without_end(http, seconds):
    answer = http("SELECT 1", max_execution_time=seconds)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "452"
    answer = http(f"SELECT 1 SETTINGS max_execution_time = {seconds}")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "452"


def test_a_query_that_took_too_long_says_how_to_allow_more(http):
    answer = http(ENDLESS, max_execution_time="0.1")
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (408, "159")
    assert "allow up to 3600 s with SETTINGS max_execution_time = SECONDS. (TIMEOUT_EXCEEDED)" in answer.text
