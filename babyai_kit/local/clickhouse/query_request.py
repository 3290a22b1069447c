"""A query as it arrives over HTTP: its text, settings, parameters and external tables.

To ClickHouse, URL and body are one text: the SQL of the URL, a line break, the body.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from aiohttp import BodyPartReader, web

from babyai_kit.local.clickhouse.content_encoding import is_supported
from babyai_kit.local.clickhouse.http_errors import RequestError
from babyai_kit.local.clickhouse.spool import MAX_BODY_BYTES, Spool, too_large_error
from babyai_kit.local.http.malformed import BAD_REQUESTS

MAX_FIELDS = 1000

_PIECE_BYTES = 1 << 18

_TRANSPORT = {
    "query", "user", "password", "quota_key", "database", "default_format", "query_id", "compress",
    "decompress", "enable_http_compression", "http_zlib_compression_level", "wait_end_of_query",
    "buffer_size", "role", "session_id", "session_timeout", "session_check", "close_session",
    "client_protocol_version",
    "stacktrace", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    "http_write_exception_in_output_format",
    "cancel_http_readonly_queries_on_client_close", "add_http_cors_header", "framing",
    "async_insert", "wait_for_async_insert", "async_insert_busy_timeout_ms", "async_insert_max_data_size",
    "wait_for_async_insert_timeout", "async_insert_deduplicate", "log_queries", "log_comment",
}  # fmt: skip
"""Parameters of the connection or of a server's queues; the engine has no use for them."""

_EXTERNAL = re.compile(r"(.+)_(format|types|structure)")


@dataclass
class ExternalTable:
    """A table that travels with its query (multipart form)."""

    name: str
    rows: IO[bytes]
    format: str
    structure: str


@dataclass
class QueryRequest:
    """What a client asks for."""

    spool: Spool
    text: IO[bytes]
    """The statement, and the rows if it is an INSERT."""
    size: int
    """Bytes of `text`."""
    database: str
    default_format: str
    query_id: str
    accept_encoding: str
    read_only: bool
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    external: list[ExternalTable] = field(default_factory=list)

    def close(self) -> None:
        """Delete the temporary files."""
        self.spool.close()


async def read_request(request: web.Request, spool_dir: Path, default_database: str) -> QueryRequest:
    """Read everything that `request` carries. Raises RequestError; the caller closes what is returned."""
    headers = request.headers
    values: dict[str, str] = dict(request.query)
    if values.get("compress") == "1" or values.get("decompress") == "1":
        reason = "ClickHouse's own block compression is not supported; use Content-Encoding"
        raise RequestError(501, 48, "NOT_IMPLEMENTED", reason)
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity") and not is_supported(encoding):
        reason = f"Content-Encoding {encoding[:32]!r} is not supported; use lz4, zstd, gzip or none"
        raise RequestError(415, 48, "NOT_IMPLEMENTED", reason)
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_large_error()
    spool = Spool(spool_dir)
    try:
        text = spool.file()
        tables: dict[str, IO[bytes]] = {}
        if request.content_type == "multipart/form-data":
            fields, tables = await _read_form(request, spool)
            values |= fields
            spool.write(text, _encoded(values.get("query", "")))
        else:
            sql = _encoded(values.get("query", ""))
            if sql and request.can_read_body:
                sql = sql.removesuffix(b"\n") + b"\n"
            spool.write(text, sql)
            body = spool.file() if is_supported(encoding) else text
            async for piece in request.content.iter_chunked(_PIECE_BYTES):
                spool.write(body, piece)
            if body is not text and body.tell():
                await asyncio.to_thread(spool.decompress, body, encoding, text)
        _check_text(values, tables)
    except BaseException:
        spool.close()
        raise
    settings, params = _settings(values, tables)
    compressible = values.get("enable_http_compression") != "0"
    return QueryRequest(
        spool=spool,
        text=text,
        size=text.tell(),
        database=values.get("database") or headers.get("X-ClickHouse-Database") or default_database,
        default_format=values.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
        query_id=values.get("query_id", ""),
        accept_encoding=headers.get("Accept-Encoding", "") if compressible else "",
        read_only=request.method != "POST",
        settings=settings,
        params=params,
        external=[_external_table(name, rows, values) for name, rows in tables.items()],
    )


def _check_text(values: Mapping[str, str], tables: Mapping[str, IO[bytes]]) -> None:
    """Raise RequestError for what would not do as text. Only SQL may hold any bytes."""
    try:
        for name, value in values.items():
            (name + (value if name != "query" else "")).encode()
        "".join(tables).encode()
    except UnicodeEncodeError:
        raise RequestError(400, 36, "BAD_ARGUMENTS", "a parameter is not valid UTF-8") from None
    if not values.get("query_id", "").isprintable():
        # It goes into a header of the response.
        raise RequestError(400, 36, "BAD_ARGUMENTS", "query_id contains control characters")


def _encoded(sql: str) -> bytes:
    return sql.encode("utf-8", "surrogateescape")


def _settings(
    values: Mapping[str, str], tables: Mapping[str, IO[bytes]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Of a request's `values`, the engine's settings and the query's parameters."""
    settings: dict[str, str] = {}
    params: dict[str, str] = {}
    for name, value in values.items():
        match = _EXTERNAL.fullmatch(name)
        if name.startswith("param_"):
            params[name.removeprefix("param_")] = value
        elif name not in _TRANSPORT and not (match and match.group(1) in tables):
            settings[name] = value
    return settings, params


def _external_table(name: str, rows: IO[bytes], values: Mapping[str, str]) -> ExternalTable:
    structure = values.get(f"{name}_structure", "")
    types = values.get(f"{name}_types", "")
    if types and not structure:
        structure = ", ".join(f"_{number} {kind}" for number, kind in enumerate(types.split(","), 1))
    return ExternalTable(name, rows, values.get(f"{name}_format", "TabSeparated"), structure)


async def _read_form(request: web.Request, spool: Spool) -> tuple[dict[str, str], dict[str, IO[bytes]]]:
    """The fields of a multipart form, and the rows of its external tables by name."""
    fields: dict[str, str] = {}
    tables: dict[str, IO[bytes]] = {}
    count = 0
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            count += 1
            if not isinstance(part, BodyPartReader) or not part.name or count > MAX_FIELDS:
                reason = "the form has nested, nameless or too many parts"
                raise RequestError(400, 36, "BAD_ARGUMENTS", reason)
            file = spool.file()
            while piece := await part.read_chunk(_PIECE_BYTES):
                spool.write(file, bytes(piece))
            file.seek(0)
            # ClickHouse's rule: what has a file name is a table, and so is what has a structure.
            structure = f"{part.name}_structure"
            if part.filename is not None or structure in fields or structure in request.query:
                tables[part.name] = file
            else:
                fields[part.name] = file.read().decode("utf-8", "surrogateescape")
                file.close()
    except (ValueError, AssertionError, RuntimeError, *BAD_REQUESTS):
        reason = "the body is not a multipart form; send SQL as text, or check the boundary"
        raise RequestError(400, 36, "BAD_ARGUMENTS", reason) from None
    return fields, tables
