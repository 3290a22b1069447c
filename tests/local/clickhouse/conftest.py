"""A real server process for the tests of this folder, and a bare HTTP client."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from babyai_kit.local.clickhouse import ServerHandle, ensure_server_sync
from babyai_kit.store.client import open_client


@dataclass
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Http:
    """Requests to one server, byte for byte."""

    url: str

    def __call__(
        self,
        sql: str | bytes = b"",
        *,
        method: str = "POST",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        auth: bool = True,
        timeout: float = 60,
        **params: str,
    ) -> Answer:
        parts = urlsplit(self.url)
        connection = HTTPConnection("127.0.0.1", parts.port, timeout=timeout)
        all_headers = dict(headers or {})
        if auth:
            token = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
            all_headers.setdefault("Authorization", f"Basic {token}")
        target = path + ("?" + urlencode(params) if params else "")
        try:
            body = sql.encode() if isinstance(sql, str) else sql
            connection.request(method, target, body=body if method == "POST" else None, headers=all_headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers.items()), response.read())
        finally:
            connection.close()

    def database(self, sql: str | bytes = b"", **more: str) -> Answer:
        """The same, in the database `babyai`."""
        return self(sql, database="babyai", **more)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's data directory."""
    return tmp_path_factory.mktemp("clickhouse")


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[ServerHandle]:
    with ensure_server_sync(folder, port=0) as handle:
        yield handle


@pytest.fixture
def http(server: ServerHandle) -> Http:
    return Http(server.url)


@pytest.fixture(scope="session")
def client(server: ServerHandle):
    client = open_client(server.url)
    yield client
    client.close()


@pytest.fixture
def table(client, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty table (a Int64, s String) that is gone afterwards."""
    name = "t_" + "".join(c if c.isalnum() else "_" for c in request.node.name)[:60]
    client.command(f"DROP TABLE IF EXISTS {name}")
    client.command(f"CREATE TABLE {name} (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    yield name
    client.command(f"DROP TABLE IF EXISTS {name}")
