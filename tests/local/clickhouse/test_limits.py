"""What size, number and shape of requests may do: the server refuses, answers and lives."""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import resource
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import lz4.frame
import pytest
from backports import zstd

from babyai_kit.local.clickhouse import ServerHandle


def test_a_declared_body_over_the_limit_is_refused_before_it_is_read(http):
    headers = {"Content-Length": str(1 << 30)}
    assert http(b"", headers=headers, query="INSERT INTO t FORMAT CSV", timeout=10).status == 413


COMPRESS = {"gzip": lambda plain: gzip.compress(plain, 1), "lz4": lz4.frame.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_body_that_unpacks_to_too_much_is_refused(http, server: ServerHandle, encoding):
    bomb = COMPRESS[encoding](bytes(300 << 20))
    before = _resident(server.pid)
    answer = http(bomb, headers={"Content-Encoding": encoding}, query="INSERT INTO t FORMAT CSV")
    assert answer.status == 413
    assert _resident(server.pid) - before < 100 << 20
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
def test_thousands_of_idle_connections_keep_nobody_out(http, server: ServerHandle):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3000
    if limits[1] != resource.RLIM_INFINITY and limits[1] < wanted:
        pytest.skip("this machine allows no process 3,000 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, limits[0]), limits[1]))
    heads = itertools.cycle([b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"])
    links = []
    try:
        for _ in range(2500):
            links.append(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            links[-1].sendall(next(heads))
        assert http("SELECT 1").text == "1\n"
        assert http("SELECT 1").text == "1\n"
    finally:
        for link in links:
            link.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


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
