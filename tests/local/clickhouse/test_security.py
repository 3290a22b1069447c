"""What SQL may reach: nothing outside of the engine, by filter, by grants and by the kernel."""

from __future__ import annotations

import subprocess
import sys
import textwrap
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
        import babyai_kit
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
            not refused(lambda: open(babyai_kit.__file__)),
        ]
        print(all(checks), checks)
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    if process.stdout.startswith("absent"):
        pytest.skip("this kernel has no Landlock")
    assert process.stdout.startswith("True"), process.stdout


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
