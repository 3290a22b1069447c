"""The bare HTTP interface: headers, formats, encodings, forms, errors, and curl."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess

import lz4.frame
import pytest
from backports import zstd


def test_headers(http):
    answer = http("SELECT 1 FORMAT JSON", query_id="mine")
    assert answer.headers["X-ClickHouse-Format"] == "JSON"
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert answer.headers["X-ClickHouse-Server-Display-Name"]
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(json.loads(answer.headers["X-ClickHouse-Summary"])) >= {
        "read_rows",
        "written_rows",
        "result_rows",
    }


def test_format_of_statement_parameter_or_default(http):
    assert http("SELECT 1 AS a").text == "1\n"
    assert http("SELECT 1 AS a", default_format="JSONEachRow").text == '{"a":1}\n'
    assert (
        http("SELECT 1 AS a", headers={"X-ClickHouse-Format": "CSV"}).headers["X-ClickHouse-Format"] == "CSV"
    )
    assert http("SELECT 1 AS a FORMAT CSVWithNames", default_format="JSON").text == '"a"\n1\n'
    assert http("SELECT 1 AS format FORMAT CSV SETTINGS max_threads = 1").text == "1\n"


@pytest.mark.parametrize(
    "form", ["JSON", "JSONCompact", "Parquet", "Arrow", "Pretty", "XML", "CSVWithNames", "Native"]
)
def test_formats_are_whole_when_results_are_large(http, form):
    answer = http(f"SELECT number, toString(number) AS s FROM numbers(200000) FORMAT {form}", timeout=60)
    assert answer.status == 200
    if form == "JSON":
        assert json.loads(answer.body)["rows"] == 200_000
    if form == "CSVWithNames":
        assert answer.body.count(b"number") == 1


def test_statements_without_rows_have_no_format(http):
    answer = http("CREATE TABLE IF NOT EXISTS babyai.nothing (a Int8) ENGINE = Memory")
    assert answer.status == 200
    assert answer.body == b""
    assert "X-ClickHouse-Format" not in answer.headers


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT", 400, "62"),
        ("SELECT * FROM nope", 404, "60"),
        ("SELECT toInt8('x')", 400, "6"),
        ("SELECT 1 FORMAT Nope", 400, "73"),
        ("INSERT INTO nope FORMAT JSONEachRow\n{}", 404, "60"),
        ("INSERT INTO nope SELECT 1", 404, "60"),
        ("INSERT INTO nothing SELECT a FROM input('a Int8') FORMAT CSV\n1", 501, "48"),
    ],
)
def test_errors(http, sql, status, code):
    answer = http.database(sql)
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert answer.text.rstrip().endswith(")")


def test_unknown_database(http):
    for sql in ("SELECT 1", "INSERT INTO t FORMAT JSONEachRow\n{}"):
        answer = http(sql, database="nope")
        assert answer.status == 404
        assert "UNKNOWN_DATABASE" in answer.text


def test_database_by_parameter_header_and_path(http):
    sql = "SELECT currentDatabase()"
    assert http(sql).text == "default\n"
    assert http(sql, database="system").text == "system\n"
    assert http(sql, path="/babyai").text == "babyai\n"
    assert http(sql, headers={"X-ClickHouse-Database": "babyai"}).text == "babyai\n"


def test_settings_and_parameters_in_the_url(http):
    assert http("SELECT {a:String}", param_a="x\\ty").text == "x\\ty\n"
    assert http("SELECT getSetting('max_block_size')", max_block_size="99").text == "99\n"
    assert http("SELECT getSetting('max_block_size')").text != "99\n"
    assert http("SELECT 1", no_such_setting="1").headers["X-ClickHouse-Exception-Code"] == "115"
    # A wrong setting leaves nothing behind on its connection.
    for _ in range(12):
        http("SELECT 1", max_block_size="98", no_such_setting="1")
    assert http("SELECT getSetting('max_block_size')").text != "98\n"


COMPRESS = {"gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstd.compress}
DECOMPRESS = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, "zstd": zstd.decompress}


@pytest.mark.parametrize("encoding", DECOMPRESS)
@pytest.mark.parametrize("rows", [10, 1000, 300_000])
def test_answers_are_compressed_as_asked(http, encoding, rows):
    sql = f"SELECT number FROM numbers({rows})"
    answer = http(sql, headers={"Accept-Encoding": encoding}, enable_http_compression="1")
    body = answer.body
    if rows > 10:
        assert answer.headers["Content-Encoding"] == encoding
        body = DECOMPRESS[encoding](body)
    assert body == http(sql).body


@pytest.mark.parametrize("accepted", ["deflate, br", "gzip;q=0, lz4; q=0.0", "identity", ""])
def test_answers_are_plain_where_no_encoding_is_shared(http, accepted):
    answer = http("SELECT number FROM numbers(1000)", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers
    assert answer.body.endswith(b"\n999\n")


@pytest.mark.parametrize("encoding", COMPRESS)
def test_statements_may_be_compressed(http, encoding):
    headers = {"Content-Encoding": encoding}
    body = COMPRESS[encoding](b"SELECT 42")
    assert http(body, headers=headers).text == "42\n"
    assert http(COMPRESS[encoding](b"SELECT ") + COMPRESS[encoding](b"43"), headers=headers).text == "43\n"
    assert http(body[:-3], headers=headers).status == 400
    assert http(b"", headers=headers, query="SELECT 44").text == "44\n"


@pytest.mark.parametrize("encoding", ["br", "deflate", "snappy", "gzip, lz4"])
def test_other_encodings_are_refused(http, encoding):
    answer = http("SELECT 1", headers={"Content-Encoding": encoding})
    assert answer.status == 415
    assert answer.text.startswith("Code: 48. DB::Exception: ")
    assert "use lz4, zstd, gzip or none" in answer.text


def test_form(http):
    boundary = "zz"
    parts = {"query": "SELECT {a:String}, x FROM t ORDER BY x", "param_a": "p'q"}
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in parts.items()
    )
    body += f'--{boundary}\r\nContent-Disposition: form-data; name="t"; filename="t"\r\n\r\n2\n1\n\r\n'
    body += f"--{boundary}--\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}

    answer = http(body, headers=headers, t_structure="x UInt8", t_format="TSV")

    assert answer.text == "p\\'q\t1\np\\'q\t2\n"


def test_sql_of_any_shape(http):
    assert http("SELECT 1;").text == "1\n"
    assert http("  \n-- note\nSELECT 1 -- end").text == "1\n"
    assert http("1 + 1").text == "2\n"
    assert http(b"SELECT '\xff'").body == b"\xff\n"
    assert http("SELECT 'й🎲'").text == "й🎲\n"
    assert http("SELECT $a$it's$a$").text == "it\\'s\n"
    assert http("WITH 1 AS x SELECT x").text == "1\n"
    assert http("(SELECT 1) UNION ALL (SELECT 1)").text == "1\n1\n"
    assert http("EXPLAIN SELECT 1").status == 200
    assert http("SHOW DATABASES").status == 200
    assert http(method="GET", query="SELECT ", path="/").status == 400


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(server):
    def curl(*args: str, stdin: str = "") -> str:
        command = ["curl", "--silent", "--show-error", "--max-time", "20", *args]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout

    assert curl(server.url, "--data-binary", "SELECT currentDatabase()") == "babyai\n"
    assert curl(f"{server.url}?query=SELECT%201") == "1\n"
    assert (
        curl(
            "--compressed",
            f"{server.url}?enable_http_compression=1",
            "-d",
            "SELECT sum(number) FROM numbers(5)",
        )
        == "10\n"
    )
    curl(server.url, "-d", "CREATE TABLE IF NOT EXISTS curled (a Int8) ENGINE = Memory")
    curl(f"{server.url}?query=INSERT%20INTO%20curled%20FORMAT%20CSV", "--data-binary", "@-", stdin="1\n2\n")
    assert curl(server.url, "-d", "SELECT sum(a) FROM curled") == "3\n"
    assert "UNKNOWN_TABLE" in curl(server.url, "-d", "SELECT * FROM nope")
