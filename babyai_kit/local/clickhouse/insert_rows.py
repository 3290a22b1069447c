"""Where in a request the statement ends and an insert's rows begin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

from babyai_kit.local.clickhouse.http_errors import RequestError
from babyai_kit.local.clickhouse.query_request import QueryRequest
from babyai_kit.local.clickhouse.sql import find_insert

MAX_SQL_BYTES = 4 << 20
"""Longest statement without the rows of a FORMAT; rows of VALUES count."""

_HEAD_BYTES = 256 << 10
"""Where the rows must have begun: ClickHouse's own limit for a statement."""


class InsertRequest(NamedTuple):
    """An INSERT with its rows."""

    sql: bytes
    """The statement without FORMAT."""
    format: str
    text: IO[bytes]
    start: int
    """Offset of the first row in `text`."""
    size: int
    """Bytes of rows."""

    def statement_text(self) -> bytes:
        """The statement without its rows."""
        return self.sql + b" FORMAT " + self.format.encode()

    def pieces(self) -> Iterator[bytes]:
        """The rows, a megabyte at a time."""
        self.text.seek(self.start)
        return read_pieces(self.text)

    def read_all(self, limit: int) -> bytes:
        """The rows as one. Raises RequestError beyond `limit` bytes."""
        if self.size > limit:
            raise _too_long()
        return b"".join(self.pieces())


def split_insert(query: QueryRequest) -> InsertRequest | None:
    """The INSERT that `query` is, if rows follow it; None for any other statement."""
    query.text.seek(0)
    insert = find_insert(query.text.read(_HEAD_BYTES))
    if insert is None:
        return None
    if insert.selects:
        # chDB would take the statement and lose the rows.
        reason = "INSERT ... SELECT ... FROM input() is not supported; use external data"
        raise RequestError(501, 48, "NOT_IMPLEMENTED", reason)
    start = insert.data_start
    return InsertRequest(insert.sql, insert.format, query.text, start, query.size - start)


def read_statement(query: QueryRequest) -> bytes:
    """The whole text of a request as one statement. Raises RequestError if it is too long."""
    if query.size > MAX_SQL_BYTES:
        raise _too_long()
    query.text.seek(0)
    return query.text.read().strip().rstrip(b";").rstrip()


def read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """What is left of `file`, a megabyte at a time."""
    while piece := file.read(1 << 20):
        yield piece


def _too_long() -> RequestError:
    limit = f"{MAX_SQL_BYTES >> 20} MiB"
    reason = f"the statement is longer than {limit}; send rows with FORMAT JSONEachRow"
    return RequestError(413, 62, "SYNTAX_ERROR", reason)
