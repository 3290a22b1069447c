"""Hostile requests: who gets in, what SQL may reach, and what size and number may do."""

from __future__ import annotations

import base64
import contextlib
import gzip
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from babyai_kit.local.clickhouse import ServerHandle
from babyai_kit.local.clickhouse.statement_filter import ForbiddenStatement, StatementFilter

CANARY = "canary-7f3a"


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the user's, outside of the data directory."""
    path = tmp_path_factory.mktemp("private") / "secret.csv"
    path.write_text(f"{CANARY},1\n")
    return path


@pytest.mark.parametrize("path", ["/?query=SELECT%201", "/babyai?query=SELECT%201", "/_kit"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic YmFieWFpOndyb25n"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer x"},
        {"X-ClickHouse-User": "babyai", "X-ClickHouse-Key": "wrong"},
        {"X-ClickHouse-User": "default"},
    ],
)
def test_no_way_in_without_the_password(http, path, headers):
    answer = http(method="GET", path=path, headers=headers, auth=False)
    assert answer.status == 401
    assert answer.headers["X-ClickHouse-Exception-Code"] == "516"
    assert "AUTHENTICATION_FAILED" in answer.text


def test_every_way_in_with_the_password(http, server):
    password = urlsplit(server.url).password
    headers = {"X-ClickHouse-User": "babyai", "X-ClickHouse-Key": password}
    assert http("SELECT 1", headers=headers, auth=False).text == "1\n"
    assert http("SELECT 1", auth=False, user="babyai", password=password).text == "1\n"
    assert http("SELECT 1").text == "1\n"


def test_ping_needs_no_password_and_says_nothing(http):
    for path in ("/ping", "/"):
        answer = http(method="GET", path=path, auth=False)
        assert (answer.status, answer.text) == (200, "Ok.\n")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:18123"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8888"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost.evil.example"},
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/ping", "/"])
def test_foreign_pages_are_refused(http, headers, path):
    assert http("SELECT 1", path=path, headers=headers).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "LOCALHOST:18123"])
def test_own_names_are_served(http, host):
    assert http("SELECT 1", headers={"Host": host}).text == "1\n"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE w (a Int8) ENGINE = Memory",
        "CREATE DATABASE w",
        "INSERT INTO keep VALUES (1)",
        "INSERT INTO keep FORMAT JSONEachRow {}",
        "INSERT INTO keep SELECT 1",
        "DROP TABLE keep",
        "TRUNCATE TABLE keep",
        "ALTER TABLE keep DELETE WHERE 1",
        "OPTIMIZE TABLE keep",
        "SET readonly = 0",
    ],
)
def test_get_changes_nothing(http, client, sql):
    client.command("CREATE TABLE IF NOT EXISTS keep (a Int8) ENGINE = MergeTree ORDER BY a")
    client.command("TRUNCATE TABLE keep")
    client.command("INSERT INTO keep VALUES (7)")

    answer = http(method="GET", query=sql, database="babyai", readonly="0")
    if answer.status == 200 or "Cannot modify 'readonly'" in answer.text:
        answer = http(method="GET", query=sql, database="babyai")

    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "164")
    assert client.query("SELECT * FROM keep").result_rows == [(7,)]


def test_get_reads(http):
    answer = http(method="GET", query="SELECT getSetting('max_block_size')", max_block_size="123")
    assert answer.text == "123\n"


ESCAPES = [
    "SELECT * FROM file('{path}', 'CSV')",
    "SELECT * FROM file('{path}', 'LineAsString')",
    "SELECT file('{path}')",
    "SELECT/**/file/* */('{path}')",
    "SELECT -- x\n file\n('{path}')",
    "SELECT `file`('{path}')",
    'SELECT "file"(\'{path}\')',
    "SELECT `fi\\x6ce`('{path}')",
    "SELECT arrayMap(file, ['{path}'])",
    "SELECT arrayMap(x -> file(x), ['{path}'])",
    "WITH (x -> file(x)) AS f SELECT f('{path}')",
    "SELECT apply(file, '{path}')",
    "SELECT '{path}'.file()",
    "SELECT {{f:Identifier}}('{path}')",
    "SELECT * FROM system.one WHERE file('{path}') LIKE '%'",
    "EXPLAIN SELECT file('{path}')",
    "DESCRIBE TABLE file('{path}')",
    "DESCRIBE (SELECT file('{path}'))",
    "SELECT * FROM view(SELECT file('{path}'))",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('{path}')))",
    "CREATE VIEW leak AS SELECT file('{path}') AS x",
    "CREATE FUNCTION leak AS (x) -> file(x)",
    "CREATE TABLE leak (a Int8, s String DEFAULT file('{path}')) ENGINE = Memory",
    "CREATE TABLE leak (a String) ENGINE = File(CSV, '{path}')",
    "CREATE TABLE leak (a String) ENGINE = `File`(CSV, '{path}')",
    "CREATE TABLE leak AS file('{path}')",
    "CREATE TABLE leak (a String) ENGINE = Executable('id', CSV)",
    "CREATE TABLE leak (a Int8) ENGINE = MergeTree ORDER BY a "
    "SETTINGS disk = disk(type = local, path = '{dir}/')",
    "CREATE TABLE leak (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = 'x'",
    "CREATE TABLE leak (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'x'",
    "CREATE DATABASE leak ENGINE = Filesystem('{dir}')",
    "CREATE DATABASE leak ENGINE = SQLite('{path}')",
    "CREATE DATABASE leak ENGINE = Atomic SETTINGS disk = disk(type = local, path = '{dir}/')",
    "CREATE DICTIONARY leak (a Int64, b String) PRIMARY KEY a "
    "SOURCE(EXECUTABLE(COMMAND 'id' FORMAT 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE DICTIONARY leak (a Int64, b String) PRIMARY KEY a "
    "SOURCE(FILE(PATH '{path}' FORMAT 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE DICTIONARY leak (a Int64) PRIMARY KEY a "
    "SOURCE(CLICKHOUSE(QUERY 'SELECT file(''{path}'')')) LAYOUT(FLAT()) LIFETIME(0)",
    "ATTACH TABLE leak FROM '{dir}' (a String) ENGINE = MergeTree ORDER BY a",
    "SELECT 1 INTO OUTFILE '{out}'",
    "SELECT 1 INTO /**/ OUTFILE '{out}' TRUNCATE FORMAT CSV",
    "INSERT INTO sink FROM INFILE '{path}' FORMAT CSV",
    "INSERT INTO sink SELECT file('{path}')",
    "INSERT INTO sink VALUES (file('{path}'))",
    "INSERT INTO sink FORMAT Values (file('{path}'))",
    "INSERT INTO sink VALUES (`fi\\x6ce`('{path}'))",
    "INSERT INTO sink VALUES ('a'); SELECT file('{path}')",
    "INSERT INTO sink VALUES ((SELECT file('{path}')))",
    "INSERT INTO sink FORMAT Template SETTINGS format_template_row = '{path}' x",
    "INSERT INTO FUNCTION file('{out}', 'CSV', 'a String') VALUES ('x')",
    "INSERT INTO FUNCTION file('{out}', 'CSV', 'a String') SELECT 'x'",
    "SELECT 1 AS a FORMAT Template SETTINGS format_template_row = '{path}'",
    "SELECT 1 AS a FORMAT Template SETTINGS format_template_resultset = '{path}'",
    "SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema = '{path}:M'",
    "SELECT 1 AS a FORMAT Protobuf SETTINGS output_format_schema = '{out}'",
    "SELECT 1 AS a FORMAT Protobuf "
    "SETTINGS format_schema_source = 'query', format_schema = 'SELECT file(''{path}'')'",
    "SELECT * FROM format(Avro, 'x') SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1:9/'",
    "SELECT * FROM format(CSV, 'a Int8', 'x') SETTINGS input_format_record_errors_file_path = '{out}'",
    "SELECT 1 SETTINGS additional_result_filter = 'file(''{path}'') != '''''",
    "SELECT 1 SETTINGS dialect = 'prql'",
    "SET dialect = 'kusto'",
    "SELECT * FROM url('http://127.0.0.1:9/', 'CSV')",
    "SELECT * FROM s3('http://127.0.0.1:9/bucket/key', 'CSV')",
    "SELECT * FROM remote('127.0.0.1:9', system.one)",
    "SELECT * FROM mysql('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "SELECT * FROM sqlite('{path}', 't')",
    "SELECT * FROM executable('id', 'TSV', 'x String')",
    "SELECT * FROM python('state')",
    "SELECT * FROM Python(state)",
    "SELECT * FROM filesystem('{dir}')",
    "SELECT * FROM `{path}`",
    "SELECT * FROM '{path}'",
    "SELECT * FROM cluster('default', system.one)",
    "BACKUP TABLE sink TO File('{out}')",
    "RESTORE TABLE sink FROM File('{path}')",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SYSTEM RELOAD CONFIG",
    "KILL QUERY WHERE 1",
    "CREATE USER u",
    "GRANT ALL ON *.* TO default",
    "CREATE NAMED COLLECTION c AS a = 1",
    "EXECUTE AS default SELECT 1",
    "SELECT addressToLine(1)",
    "SELECT sleep(3)",
    "SELECT catboostEvaluate('{path}', 1)",
    "file('{path}')",
    "(((SELECT file('{path}'))))",
    "FROM file('{path}') SELECT *",
    "CREATE TABLE leak2 (a Int8) ENGINE = Memory PARALLEL WITH SYSTEM SHUTDOWN",
]  # fmt: skip


@pytest.mark.parametrize("sql", ESCAPES)
def test_sql_reaches_nothing_outside(http, client, server: ServerHandle, canary, tmp_path, sql):
    client.command("CREATE TABLE IF NOT EXISTS sink (s String) ENGINE = Memory")
    out = tmp_path / "out.csv"
    text = sql.format(path=canary, dir=canary.parent, out=out)

    answer = http(text, database="babyai", param_f="file")

    assert answer.status != 200, answer.text
    assert answer.headers["X-ClickHouse-Exception-Code"] not in ("1002", "0")
    assert CANARY not in answer.text
    assert not out.exists()
    assert http("SELECT 1").text == "1\n"
    assert CANARY not in str(client.query("SELECT groupArray(s) FROM sink").result_rows)


def test_password_file_is_out_of_reach_of_sql(http, server: ServerHandle):
    """The kernel's sandbox leaves the data directory open to the engine: only the filter is left."""
    password = urlsplit(server.url).password
    for sql in ("SELECT file('../clickhouse.password')", "SELECT arrayMap(file, ['../clickhouse.password'])"):
        answer = http(sql)
        assert answer.status == 403
        assert password not in answer.text


def test_external_structure_is_not_a_way_in(http, canary):
    boundary = "x"
    structure = f"s String DEFAULT file('{canary}')"
    body = (
        f'--x\r\nContent-Disposition: form-data; name="t"; filename="t"\r\n\r\na\r\n'
        f'--x\r\nContent-Disposition: form-data; name="t_structure"\r\n\r\n{structure}\r\n--x--\r\n'
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = http(body, headers=headers, query="SELECT * FROM t", t_structure=structure)
    assert answer.status == 403
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'file(''x'')' AS s, 1 AS `into outfile`",
        "SELECT 'SYSTEM SHUTDOWN; DROP TABLE x'",
        "SELECT /* file('x') */ 1 -- INTO OUTFILE",
        "WITH 1 AS system SELECT system",
        "INSERT INTO sink VALUES ('file(''/etc/passwd'')'), ('a;b'), ('`x` \"y\"')",
        "SELECT count() FROM system.tables WHERE engine = 'File'",
        "SELECT engine FROM system.tables LIMIT 1",
    ],
)  # fmt: skip
def test_harmless_sql_that_looks_hostile_is_served(http, client, sql):
    client.command("CREATE TABLE IF NOT EXISTS sink (s String) ENGINE = Memory")
    answer = http(sql, database="babyai")
    assert answer.status == 200, answer.text


def test_functions_that_the_engine_learns_later_are_refused():
    statement_filter = StatementFilter(
        table_functions={"numbers", "brandNewSource"}, scalar_functions={"file", "plus", "aiGenerate"}
    )
    assert statement_filter.inspect(b"SELECT plus(1, 2) FROM numbers(3)").kind == "SELECT"
    for sql in (b"SELECT * FROM brandNewSource('x')", b"SELECT aiGenerate('x')", b"SELECT file('x')"):
        with pytest.raises(ForbiddenStatement, match="ACCESS_DENIED"):
            statement_filter.inspect(sql)


def test_sandbox_confines_a_process(tmp_path, canary):
    inside = tmp_path / "inside"
    inside.mkdir()
    code = f"""
        import os, socket, subprocess, sys, threading
        from pathlib import Path
        from babyai_kit.local.clickhouse.sandbox import confine
        listener = socket.create_server(("127.0.0.1", 0))
        if not confine([Path({str(inside)!r})]):
            print("absent"); sys.exit()
        def refused(act):
            try:
                act()
            except PermissionError:
                return True
            return False
        Path({str(inside)!r}, "f").write_text("x")
        checks = [
            refused(lambda: open({str(canary)!r})),
            refused(lambda: open({str(tmp_path / "outside")!r}, "w")),
            refused(lambda: os.listdir({str(tmp_path)!r})),
            refused(lambda: subprocess.run(["/bin/true"])),
            refused(lambda: open("/proc/1/environ")),
        ]
        print(all(checks), checks)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    if done.stdout.startswith("absent"):
        pytest.skip("this kernel has no Landlock")
    assert done.stdout.startswith("True"), done.stdout


def test_bodies_over_the_limit_are_refused(http):
    # What is declared is refused before it is read; what unpacks to too much, while it is read.
    declared = http(
        b"", headers={"Content-Length": str(1 << 30)}, query="INSERT INTO t FORMAT CSV", timeout=10
    )
    assert declared.status == 413
    bomb = gzip.compress(bytes(300 << 20), 1)
    answer = http(bomb, headers={"Content-Encoding": "gzip"}, query="INSERT INTO t FORMAT CSV")
    assert answer.status == 413
    assert http("SELECT 1").text == "1\n"


def test_a_gigabyte_without_a_length_is_refused(server: ServerHandle, http):
    parts = urlsplit(server.url)
    token = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    with socket.create_connection(("127.0.0.1", parts.port)) as link:
        link.sendall(
            "POST /?query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Basic {token}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        before = _resident(server.pid)
        with contextlib.suppress(ConnectionError):
            for _ in range(1024):
                link.sendall(piece)
            assert b" 413 " in link.recv(4096).split(b"\r\n")[0]
        assert _resident(server.pid) - before < 100 << 20
    assert http("SELECT 1").text == "1\n"


def _resident(pid: int) -> int:
    """Resident memory in bytes."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return 0


def test_text_after_rows_never_runs(http, client, canary):
    """chDB takes what follows an empty line among an INSERT's rows for the next statement."""
    client.command("CREATE TABLE IF NOT EXISTS sink (s String) ENGINE = Memory")
    for form, rows in (
        ("CSV", "a"),
        ("TSV", "a"),
        ("JSONEachRow", '{"s":"a"}'),
        ("Values", "('a')"),
        ("LineAsString", "a"),
    ):
        for gap in ("\n\n", "\n;\n", ";\n\n", ";"):
            for tail in ("CREATE TABLE babyai.smuggled (a Int8) ENGINE = Memory", f"SELECT file('{canary}')"):
                answer = http.database(f"INSERT INTO sink FORMAT {form}\n{rows}{gap}{tail}\n")
                assert CANARY not in answer.text
                answer = http.database(
                    f"{rows}{gap}{tail}\n", query=f"EXPLAIN INSERT INTO sink FORMAT {form}"
                )
                assert CANARY not in answer.text
    assert client.command("EXISTS TABLE smuggled") == 0


def test_long_statements_are_refused(http):
    assert http("SELECT '" + "x" * (5 << 20) + "'").status == 413


def test_garbage_is_answered(http, server: ServerHandle):
    for raw in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"A" * 100_000,
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
            link.sendall(raw)
            link.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                assert b" 200 " not in link.recv(4096)
    for body, headers in (
        (b"\x00\xff\xfe", {}),
        (b"x", {"Content-Encoding": "gzip"}),
        (b"x", {"Content-Encoding": "lz4"}),
        (b"x", {"Content-Encoding": "zstd"}),
        (b"x", {"Content-Encoding": "snappy"}),
        (b"x", {"Content-Type": "multipart/form-data"}),
        (b"x", {"Content-Type": "multipart/form-data; boundary=a"}),
        (b"", {}),
    ):
        assert 400 <= http(body, headers=headers).status < 502
    assert http("SELECT 1", **{"no'name": "1"}).status == 400
    assert http("SELECT 1", max_threads="x").status >= 400
    assert http("SELECT 1", method="PUT").status == 405
    assert http("SELECT 1", compress="1").status == 501
    assert http("SELECT 1").text == "1\n"


TANGLES = [b"\\'", b"$a$b", b"''", b"/*", b"(", b"`\\`", b"a.", b"INSERT INTO t VALUES "]


@pytest.mark.parametrize("piece", TANGLES)
@pytest.mark.parametrize("first", [b"INSERT INTO sink FORMAT Values ('", b"SELECT '", b"INSERT INTO "])
def test_tangled_text_takes_no_time(http, first, piece):
    started = time.monotonic()
    answer = http.database(first + piece * ((3 << 20) // len(piece)))
    assert answer.status >= 400
    assert time.monotonic() - started < 10


@pytest.mark.e2e
def test_a_thousand_connections(http, server: ServerHandle):
    links = []
    try:
        for _ in range(1000):
            links.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))  # noqa: PERF401
        for link in links[::2]:
            link.sendall(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert all(b"Ok." in link.recv(4096) for link in links[::2])
        assert http("SELECT 1").text == "1\n"
    finally:
        for link in links:
            link.close()


@pytest.mark.e2e
def test_hungry_queries_end_and_the_server_lives(http):
    answers: list[int] = []

    def hungry() -> None:
        sql = "SELECT groupArray(repeat(toString(number), 1000)) FROM numbers(100000000) FORMAT Null"
        answers.append(http(sql, max_memory_usage=str(200 << 20), timeout=120).status)

    threads = [threading.Thread(target=hungry) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [503] * 4
    assert http("SELECT 1").text == "1\n"
    assert http("SELECT 1", max_memory_usage="0").headers["X-ClickHouse-Exception-Code"] == "452"
