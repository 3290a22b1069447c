"""Where in a request the statement ends and an insert's rows begin.

Knows that URL and body are one text (the query of the URL, a line break, the body); nothing of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

from babyai_kit.local.clickhouse.request import Refused, Request
from babyai_kit.local.clickhouse.sql import find_insert, without_async_settings

MAX_SQL_BYTES = 4 << 20
"""Longest statement, rows of a FORMAT aside; rows of VALUES count."""

_HEAD_BYTES = 256 << 10
"""Where the rows must have begun: ClickHouse's own limit for a statement."""


class InsertRequest(NamedTuple):
    """An INSERT with its rows."""

    sql: bytes
    """The statement without FORMAT and without async_insert settings."""
    format: str
    prefix: bytes
    """Rows that are in the URL already."""
    body: IO[bytes]
    start: int
    """Offset of the first row in `body`."""
    size: int
    """Bytes of rows in all."""

    def pieces(self) -> Iterator[bytes]:
        """The rows, a megabyte at a time."""
        if self.prefix:
            yield self.prefix
        self.body.seek(self.start)
        yield from pieces_of(self.body)

    def read_all(self, limit: int) -> bytes:
        """The rows as one. Raises Refused beyond `limit` bytes."""
        if self.size > limit:
            raise _too_long()
        return b"".join(self.pieces())


def split_insert(asked: Request) -> InsertRequest | None:
    """The INSERT that `asked` is, if rows follow it; None for any other statement."""
    joint = 1 if asked.query and asked.body_bytes else 0
    asked.body.seek(0)
    head = asked.query + b"\n" * joint + asked.body.read(_HEAD_BYTES)
    found = find_insert(head)
    if found is None:
        return None
    if found.selects:
        # chDB would take the statement and lose the rows.
        raise Refused(
            501, 48, "NOT_IMPLEMENTED", "INSERT ... SELECT ... FROM input() is not served; use external data"
        )
    body_at = len(asked.query) + joint
    in_url = asked.query[found.data_start :]
    prefix = in_url + b"\n" * joint if in_url else b""
    start = max(found.data_start - body_at, 0)
    return InsertRequest(
        sql=without_async_settings(found.sql),
        format=found.format,
        prefix=prefix,
        body=asked.body,
        start=start,
        size=len(prefix) + max(asked.body_bytes - start, 0),
    )


def read_statement(asked: Request) -> bytes:
    """The whole text of a request as one statement. Raises Refused if it is too long."""
    if len(asked.query) + asked.body_bytes > MAX_SQL_BYTES:
        raise _too_long()
    asked.body.seek(0)
    parts = [asked.query, asked.body.read()]
    return b"\n".join(part for part in parts if part).strip().rstrip(b";").rstrip()


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """What is left of `file`, a megabyte at a time."""
    while piece := file.read(1 << 20):
        yield piece


def _too_long() -> Refused:
    return Refused(
        413,
        62,
        "SYNTAX_ERROR",
        f"a statement may have {MAX_SQL_BYTES >> 20} MiB; send rows with FORMAT JSONEachRow",
    )
