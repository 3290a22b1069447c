"""clickhouse-connect against the real server: types, parameters, inserts, DataFrames, large results."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import io
import ipaddress
import uuid
import zoneinfo
from concurrent.futures import ThreadPoolExecutor

import clickhouse_connect
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from clickhouse_connect.driver.exceptions import DatabaseError, Error
from clickhouse_connect.driver.external import ExternalData

KATHMANDU = zoneinfo.ZoneInfo("Asia/Kathmandu")
WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, 678901)

VALUES = [
    ("UInt8", 255),
    ("Int64", -(2**63)),
    ("UInt64", 2**64 - 1),
    ("Int256", -(2**200)),
    ("Float32", 0.5),
    ("Float64", 1e-300),
    ("Bool", True),
    ("String", "tab\tquote'\\ \n Привет 🎲"),
    ("FixedString(4)", b"abcd"),
    ("Decimal(18, 4)", decimal.Decimal("-12345.6789")),
    ("Date", dt.date(2026, 1, 2)),
    ("Date32", dt.date(1930, 1, 2)),
    ("DateTime", WHEN.replace(microsecond=0)),
    ("DateTime64(6)", WHEN),
    ("DateTime64(6, 'Asia/Kathmandu')", WHEN.replace(tzinfo=KATHMANDU)),
    ("UUID", uuid.UUID("018f4a5e-0000-7000-8000-0123456789ab")),
    ("Nullable(Int32)", None),
    ("Nullable(String)", None),
    ("LowCardinality(String)", "low"),
    ("Array(Nullable(Int32))", [1, None, 3]),
    ("Array(Array(String))", [["a"], [], ["b", "c"]]),
    ("Map(String, Array(Int8))", {"x": [1], "y": []}),
    ("Tuple(Int8, String)", (1, "x")),
    ("Enum8('a' = 1, 'b' = 2)", "b"),
    ("IPv4", ipaddress.ip_address("10.1.2.3")),
    ("JSON", {"k": {"n": 5}}),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[kind for kind, _ in VALUES])
def test_value_survives_insert_and_query(client, kind, value):
    client.command("DROP TABLE IF EXISTS roundtrip")
    client.command(f"CREATE TABLE roundtrip (v {kind}) ENGINE = MergeTree ORDER BY tuple()")
    client.insert("roundtrip", [[value], [value]], column_names=["v"])

    rows = client.query("SELECT v FROM roundtrip").result_rows

    assert rows == [(value,), (value,)]


def test_parameters_of_every_kind(client):
    result = client.query(
        "SELECT {i:Int64} AS i, {s:String} AS s, {a:Array(String)} AS a, {n:Nullable(Int8)}, {t:Identifier}",
        parameters={"i": -5, "s": "it's \t \\ 'x'; --", "a": ["x'", "y\n"], "n": None, "t": "i"},
    )

    assert result.result_rows == [(-5, "it's \t \\ 'x'; --", ["x'", "y\n"], None, -5)]


def test_client_side_parameters(client):
    assert client.query("SELECT %(s)s", parameters={"s": "a'b"}).result_rows == [("a'b",)]


def test_settings_last_for_one_query(client):
    sql = "SELECT value FROM system.settings WHERE name = 'max_block_size'"
    before = client.command(sql)

    changed = client.query(sql, settings={"max_block_size": 4321}).result_rows

    assert changed == [("4321",)]
    assert client.command(sql) == before


def test_set_use_and_temporary_tables_do_not_leak(client):
    client.command("SET max_block_size = 77")
    client.command("USE system")
    client.command("CREATE TEMPORARY TABLE leak (a Int8) ENGINE = Memory")

    for _ in range(20):
        assert client.command("SELECT getSetting('max_block_size')") != 77
        assert client.command("SELECT currentDatabase()") == "babyai"
        assert client.command("EXISTS TEMPORARY TABLE leak") == 0


@pytest.mark.parametrize("compress", [False, True, "lz4", "zstd", "gzip"])
def test_every_compression_of_the_client(server, table, compress):
    client = clickhouse_connect.get_client(dsn=server.url, compress=compress, autogenerate_session_id=False)
    rows = [[i, f"row {i} " * 20] for i in range(5000)]

    summary = client.insert(table, rows, column_names=["a", "s"])

    assert summary.written_rows == 5000
    assert client.query(f"SELECT * FROM {table} ORDER BY a").result_rows == [tuple(r) for r in rows]
    assert client.raw_query(f"SELECT count() FROM {table}") == b"5000\n"
    client.close()


def _bodies():
    frame = pa.table({"a": pa.array([1, 2], pa.int64()), "s": ["x", "y"]})
    parquet, arrow, stream = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pq.write_table(frame, parquet)
    with pa.ipc.new_file(arrow, frame.schema) as writer:
        writer.write_table(frame)
    with pa.ipc.new_stream(stream, frame.schema) as writer:
        writer.write_table(frame)
    binary = b"".join(n.to_bytes(8, "little", signed=True) + b"\x01" + s for n, s in [(1, b"x"), (2, b"y")])
    return {
        "Parquet": parquet.getvalue(),
        "Arrow": arrow.getvalue(),
        "ArrowStream": stream.getvalue(),
        "RowBinary": binary,
        "CSV": b'1,"x"\n2,y\n',
        "CSVWithNames": b"s,a\nx,1\ny,2\n",
        "TabSeparated": b"1\tx\n2\ty\n",
        "JSONEachRow": b'{"a":1,"s":"x"}\n{"a":2,"s":"y"}',
        "JSONCompactEachRow": b'[1,"x"]\n[2,"y"]',
        "Values": b"(1,'x'),(2,lower('Y'))",
    }


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
@pytest.mark.parametrize("form", _bodies())
def test_inserts_in_every_form(client, table, form, compression):
    body = _bodies()[form]
    if compression == "gzip":
        body = gzip.compress(body)
    elif compression == "zstd":
        body = zstd.compress(body)

    summary = client.raw_insert(table, insert_block=body, fmt=form, compression=compression)

    assert client.query(f"SELECT a, s FROM {table} ORDER BY a").result_rows == [(1, "x"), (2, "y")]
    assert summary.written_rows == 2


def test_insert_from_select_and_values(client, table):
    assert client.command(f"INSERT INTO {table} SELECT number, 'n' FROM numbers(7)").written_rows == 7
    client.command(f"INSERT INTO {table} VALUES ({{i:Int64}}, {{s:String}})", parameters={"i": 500, "s": "p"})

    assert client.query(f"SELECT a, s FROM {table} WHERE a > 50").result_rows == [(500, "p")]


def test_written_rows_of_an_insert_behind_with(client, table):
    summary = client.command(f"INSERT INTO {table} WITH 3 AS k SELECT number + k, 'w' FROM numbers(4)")
    assert summary.written_rows == 4


def test_data_frames(client, table):
    frame = pd.DataFrame({"a": np.arange(1000, dtype="int64"), "s": [f"s{i}" for i in range(1000)]})

    client.insert_df(table, frame)

    back = client.query_df(f"SELECT a, s FROM {table} ORDER BY a")
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)


def test_arrow_both_ways(client, table):
    frame = pa.table({"a": pa.array(range(10), pa.int64()), "s": [str(i) for i in range(10)]})

    client.insert_arrow(table, frame)

    back = client.query_arrow(f"SELECT a, s FROM {table} ORDER BY a", use_strings=True)
    assert back.to_pydict() == frame.to_pydict()


def test_empty_results(client, table):
    # As with ClickHouse's own server, the client learns an empty result's columns by LIMIT 0 only.
    assert client.query(f"SELECT * FROM {table}").result_rows == []
    assert client.query(f"SELECT * FROM {table} LIMIT 0").column_names == ("a", "s")
    assert client.query_df(f"SELECT * FROM {table}").empty


def test_external_data(client):
    external = ExternalData(
        file_name="pets.csv", data=b"cat,4\nbird,2\n", fmt="CSV", structure="name String, legs UInt8"
    )
    external.add_file(file_name="more.tsv", data=b"1\tx\n", fmt="TSV", types=["Int8", "String"])

    rows = client.query(
        "SELECT name, legs, {p:Int8} FROM pets, more ORDER BY legs",
        parameters={"p": 1},
        external_data=external,
    ).result_rows

    assert rows == [("bird", 2, 1), ("cat", 4, 1)]
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM pets")


def test_large_result_is_streamed(client):
    n = 2_000_000
    total = seen = 0
    with client.query_column_block_stream(
        f"SELECT number AS n, toString(number) AS s FROM numbers({n})"
    ) as blocks:
        for block in blocks:
            total += int(np.sum(block[0]))
            seen += len(block[1])

    assert seen == n
    assert total == n * (n - 1) // 2


def test_a_stream_given_up_frees_its_connection(client):
    for _ in range(10):
        with client.query_row_block_stream("SELECT number FROM numbers(3000000)") as blocks:
            next(blocks)
    assert client.command("SELECT 1") == 1


def test_error_in_the_middle_of_a_stream_is_an_error(client):
    with pytest.raises(Error, match="FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"):
        assert client.query("SELECT throwIf(number = 3000000) FROM numbers(4000000)").result_rows
    with pytest.raises(DatabaseError, match="FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"):
        client.query("SELECT throwIf(number = 3) FROM numbers(4)")


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELECT * FROM missing", 60, "UNKNOWN_TABLE"),
        ("SELECT missing", 47, "UNKNOWN_IDENTIFIER"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("SELECT missing(1)", 46, "UNKNOWN_FUNCTION"),
        ("SELECT {x:Int8}", 456, "UNKNOWN_QUERY_PARAMETER"),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115, "UNKNOWN_SETTING"),
    ],
)  # fmt: skip
def test_errors_have_codes_and_names(client, sql, code, name):
    with pytest.raises(DatabaseError) as caught:
        client.command(sql)
    assert caught.value.code == code
    assert caught.value.name == name


def test_one_client_in_many_threads(client, table):
    def work(i: int) -> int:
        client.insert(table, [[i, f"{i}"]], column_names=["a", "s"])
        return client.query(
            "SELECT {i:Int64}", parameters={"i": i}, settings={"max_block_size": 1000 + i}
        ).result_rows[0][0]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(64))) == list(range(64))
    assert client.command(f"SELECT count() FROM {table}") == 64
