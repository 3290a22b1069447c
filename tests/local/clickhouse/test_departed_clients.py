"""A query ends with its client, however far it has come; what changes something runs to its end."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import pytest

ENDLESS = "SELECT count() FROM numbers_mt(1000000000000) WHERE sipHash64(number) = 1"
HOUR = "SETTINGS max_execution_time = 3600"
"""So that no time limit ends a query before the test has failed."""

LONG = {
    "before its first row": f"{ENDLESS} {HOUR}",
    "in a format that is held whole": f"{ENDLESS} {HOUR} FORMAT JSON",
    "while its rows are sent": f"SELECT number FROM numbers(1000000000000) {HOUR} FORMAT TSV",
    "while a subquery is read": f"SELECT 1 IN (SELECT sipHash64(number) FROM numbers(1000000000000)) {HOUR}",
}


class Client:
    """Sends one request and can leave without the response."""

    def __init__(self, url: str, sql: str, *, method: str = "POST") -> None:
        parts = urlsplit(url)
        token = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self.socket = socket.create_connection(("127.0.0.1", parts.port or 0), timeout=60)
        target, body = ("/", sql) if method == "POST" else (f"/?query={quote(sql)}", "")
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {token}\r\n"
        self.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def leave(self) -> None:
        self.socket.close()


def until(condition: Callable[[], bool], timeout_s: float = 200) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running(client, text: str) -> int:
    """How many statements that contain `text` the engine is running."""
    rows = client.query(
        "SELECT count() FROM system.processes WHERE position(query, {text:String}) > 0 "
        "AND position(query, 'system.processes') = 0",
        parameters={"text": text},
    ).result_rows
    return int(rows[0][0])


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("when", LONG)
def test_a_query_ends_with_its_client(server, client, when, method):
    departing = Client(server.url, LONG[when], method=method)
    until(lambda: running(client, "1000000000000") == 1)
    departing.leave()
    until(lambda: running(client, "1000000000000") == 0)
    assert client.command("SELECT 1") == 1


def test_a_client_that_leaves_ends_no_other_query(server, client):
    staying = Client(server.url, f"SELECT count() FROM numbers(10000000) WHERE sipHash64(number) = 1 {HOUR}")
    leaving = [Client(server.url, f"{ENDLESS} {HOUR}") for _ in range(2)]
    until(lambda: running(client, "1000000000000") == 2)
    for departing in leaving:
        departing.leave()
    until(lambda: running(client, "1000000000000") == 0)
    assert b" 200 OK" in staying.socket.recv(4096).split(b"\r\n")[0]


@pytest.mark.timeout(1200)
def test_what_changes_something_is_completed_without_its_client(server, client, table):
    rows = 50_000_000

    def stored() -> bool:
        return bool(client.query(f"SELECT 1 FROM {table} WHERE a = {rows}").result_rows)

    def insert_and_leave() -> bool:
        """False if the insert was over before its client left."""
        source = f"FROM numbers({rows}) WHERE NOT ignore(sipHash64(number)) {HOUR}"
        departing = Client(server.url, f"INSERT INTO babyai.{table} SELECT count(), 'all' {source}")
        until(lambda: running(client, f"numbers({rows})") == 1 or stored())
        departing.leave()
        return not stored()

    while not insert_and_leave():
        rows *= 2
    while running(client, f"numbers({rows})"):  # as long as it takes here
        time.sleep(0.02)
    assert stored()
