"""Who gets in: password, host and origin, and reading only by GET."""

from __future__ import annotations

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
