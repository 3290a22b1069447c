"""Who gets in: password, host and origin, and reading only by GET."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest


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
        {"Host": "127.0.0.1:80@evil.example"},
        {"Host": "evil.example@127.0.0.1"},
        {"Host": "127.0.0.1:80:80"},
        {"Host": "localhost:"},
        {"Host": "localhost:0"},
        {"Host": "localhost:65536"},
        {"Host": "localhost:8x"},
        {"Host": "localhost."},
        {"Host": "localhost/evil.example"},
        {"Host": "localhost, evil.example"},
        {"Host": "[::1"},
        {"Host": "[::1]evil.example"},
        {"Host": "127.1"},
        {"Host": "http://localhost"},
        {"Host": "host.docker.internal"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8888"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://[::1"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1\uff1a80".encode()},
        {"Origin": "http://evil\u2100.example".encode()},
        {"Origin": ""},
        {"Origin": "x" * 7000},
        {"Referer": "http://[::1"},
        {"Referer": "//["},
        {"Referer": "http://127.0.0.1:99999999999/"},
        {"Referer": "javascript:alert(1)"},
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/ping", "/"])
def test_foreign_pages_are_refused(http, headers, path):
    assert http("SELECT 1", path=path, headers=headers).status == 403


@pytest.mark.parametrize("header", ["Origin", "Referer"])
@pytest.mark.parametrize("end", ["@evil.example", "\\\\@evil.example", ".evil.example", "0", "\tx"])
def test_what_begins_like_this_site_is_foreign(http, server, header, end):
    assert http("SELECT 1", headers={header: f"http://127.0.0.1:{server.port}{end}"}).status == 403
    evil = f"http://evil.example{end}127.0.0.1:{server.port}"
    assert http("SELECT 1", headers={header: evil}).status == 403


def test_pages_of_this_site_are_served(http, server):
    site = f"http://127.0.0.1:{server.port}"
    headers = {"Origin": site, "Referer": f"{site}/play?user=x", "Sec-Fetch-Site": "same-origin"}
    assert http("SELECT 1", headers=headers).text == "1\n"


def _status(server, raw: bytes) -> int:
    """Of the response to a request as it stands, but for the password."""
    password = urlsplit(server.url).password or ""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as link:
        link.sendall(
            raw.replace(b"PASSWORD", b"X-ClickHouse-User: babyai\r\nX-ClickHouse-Key: " + password.encode())
        )
        return int(link.recv(4096).split()[1])


POST = b"POST /%s HTTP/1.1\r\nHost: localhost\r\nPASSWORD\r\n%s\r\n\r\n%s"
FORM = b"Content-Type: multipart/form-data; boundary=a\r\nContent-Length: "
FORMS = [
    b"--a",
    b"--a\r\nX\r\n\r\n",
    b"--a\r\n" + b"X: y\r\n" * 2000 + b"\r\n--a--",
    b'--a\r\nContent-Disposition: form-data; name="database"\r\n\r\n\xff\r\n--a--\r\n',
    b"--a\r\nContent-Transfer-Encoding: base64\r\n"
    b'Content-Disposition: form-data; name="query"\r\n\r\n\xff\r\n--a--\r\n',
]
MALFORMED = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"GET /ping HTTP/1.1\r\n\r\n",
    b"GET http://evil.example/ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://[::1/ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: localhost\r\nOrigin: \xff\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: localhost\r\nReferer: http://localhost\r\nReferer: http://[\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: localhost\r\nExpect: \xff\r\n\r\n",
    POST % (b"", b"X-ClickHouse-Database: \xff\r\nContent-Length: 8", b"SELECT 1"),
    POST % (b"", b"X-ClickHouse-Format: \xff\r\nContent-Length: 8", b"SELECT 1"),
    POST % (b"", b"Content-Length: 8", b"SELECT \xff"),
    POST % (b"?query_id=a%0d%0ab", b"Content-Length: 8", b"SELECT 1"),
    POST % (b"?query_id=%00", b"Content-Length: 8", b"SELECT 1"),
    POST % (b"%00?database=%ff", b"Content-Length: 8", b"SELECT 1"),
    POST % (b"", b"Transfer-Encoding: chunked", b"zz\r\n"),
    *(POST % (b"", FORM + str(len(form)).encode(), form) for form in FORMS),
]


@pytest.mark.parametrize("request_", MALFORMED)
def test_malformed_requests_are_refused_without_a_traceback(server, folder, request_):
    log = folder / "clickhouse.log"
    before = log.stat().st_size
    assert _status(server, request_) in (400, 403, 404)
    assert b"Traceback" not in log.read_bytes()[before:]


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "LOCALHOST:18123", "[::1]", "[::1]:65535"])
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
