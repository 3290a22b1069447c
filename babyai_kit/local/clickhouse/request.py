"""A request of ClickHouse's HTTP interface, read and checked: who, what, with which settings and rows.

Knows the interface's parameters and limits; nothing of the engine. Bodies go to a file beyond a
megabyte and are counted after decompression, so no body can fill the memory.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from aiohttp import BodyPartReader, web

from babyai_kit.configuration.addresses import CLICKHOUSE_USER
from babyai_kit.local.clickhouse.codecs import BadBody, decoder

MAX_BODY_BYTES = 256 << 20
"""Largest body after decompression; more is answered with 413."""

MEMORY_BYTES = 1 << 20
"""Of a body, what is kept in memory; the rest is in a file."""

MAX_FIELDS = 1000

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
"""Parameters of the connection or of a server's queues; not settings of the engine here."""

_EXTERNAL = re.compile(r"(.+)_(format|types|structure)")


class Refused(Exception):
    """A request that is refused before the engine sees it."""

    def __init__(self, status: int, code: int, name: str, reason: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {reason}. ({name})")
        self.status = status


@dataclass
class ExternalTable:
    """A table that travels with its query (multipart form)."""

    name: str
    rows: IO[bytes]
    format: str = "TabSeparated"
    structure: str = ""


@dataclass
class Request:
    """What a client asks for."""

    query: bytes
    """SQL from the URL or form; the body follows it."""
    body: IO[bytes]
    body_bytes: int
    database: str
    default_format: str
    query_id: str
    accept_encoding: str
    read_only: bool
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    external: list[ExternalTable] = field(default_factory=list)

    def close(self) -> None:
        """Drop what was spooled."""
        self.body.close()
        for table in self.external:
            table.rows.close()


def check_origin(request: web.Request) -> None:
    """Refuse other sites' pages, which may reach this server by a name that points here (DNS rebinding)."""
    host = request.headers.get("Host", "")
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name.lower().rstrip(".") not in ("127.0.0.1", "localhost", "[::1]"):
        raise Refused(403, 497, "ACCESS_DENIED", "this server answers to 127.0.0.1 and localhost only")
    for header in ("Origin", "Referer"):
        origin = request.headers.get(header)
        # Another port of this machine is another site, too: a notebook shows what models wrote.
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refused(403, 497, "ACCESS_DENIED", f"requests with a foreign {header} are refused")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Refused(403, 497, "ACCESS_DENIED", "requests from other sites are refused")


def check_password(request: web.Request, password: str) -> None:
    """Refuse who does not know the user and password, by any of ClickHouse's three ways."""
    headers, query = request.headers, request.query
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        user, given = headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")
    elif "Authorization" in headers:
        user, given = _basic(headers["Authorization"])
    else:
        user, given = query.get("user", ""), query.get("password", "")
    # Both are compared, always and in constant time, so that the answer's time tells nothing.
    right_user = hmac.compare_digest(user.encode("utf-8", "surrogateescape"), CLICKHOUSE_USER.encode())
    right_password = hmac.compare_digest(given.encode("utf-8", "surrogateescape"), password.encode())
    if not (right_user & right_password):
        raise Refused(
            401,
            516,
            "AUTHENTICATION_FAILED",
            "Authentication failed: password is incorrect, or there is no such user",
        )


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


async def read_request(request: web.Request, spool_dir: Path, default_database: str) -> Request:
    """Read everything `request` carries. Raises Refused; the caller closes what is returned."""
    values: dict[str, str] = dict(request.query)
    if values.get("compress") == "1" or values.get("decompress") == "1":
        raise Refused(
            501,
            48,
            "NOT_IMPLEMENTED",
            "ClickHouse's own block compression is not served; use Content-Encoding",
        )
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    spool = _Spool(request, spool_dir)
    external: dict[str, ExternalTable] = {}
    body = spool.file()
    try:
        if request.content_type == "multipart/form-data":
            await _read_form(request, spool, values, external)
        else:
            await spool.fill(body, request.content)
    except BaseException:
        body.close()
        for table in external.values():
            table.rows.close()
        raise
    for name, table in external.items():
        table.format = values.get(f"{name}_format", table.format)
        table.structure = values.get(f"{name}_structure", "")
        if not table.structure and values.get(f"{name}_types"):
            types = values[f"{name}_types"].split(",")
            table.structure = ", ".join(f"_{i} {kind}" for i, kind in enumerate(types, 1))
    size = body.tell()
    body.seek(0)
    settings, params = _settings(values, external)
    headers = request.headers
    return Request(
        query=values.get("query", "").encode("utf-8", "surrogateescape"),
        body=body,
        body_bytes=size,
        database=values.get("database") or headers.get("X-ClickHouse-Database") or default_database,
        default_format=values.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
        query_id=values.get("query_id", ""),
        accept_encoding=headers.get("Accept-Encoding", "")
        if values.get("enable_http_compression") != "0"
        else "",
        read_only=request.method != "POST",
        settings=settings,
        params=params,
        external=list(external.values()),
    )


def _settings(
    values: Mapping[str, str], external: Mapping[str, ExternalTable]
) -> tuple[dict[str, str], dict[str, str]]:
    settings: dict[str, str] = {}
    params: dict[str, str] = {}
    for name, value in values.items():
        match = _EXTERNAL.fullmatch(name)
        if name.startswith("param_"):
            params[name[6:]] = value
        elif name not in _TRANSPORT and not (match and match.group(1) in external):
            settings[name] = value
    return settings, params


class _Spool:
    """Counts and decodes what one request brings."""

    def __init__(self, request: web.Request, folder: Path) -> None:
        self._folder = folder
        self._left = MAX_BODY_BYTES
        encoding = request.headers.get("Content-Encoding", "")
        found = decoder(encoding)
        if found is None:
            raise Refused(
                415,
                48,
                "NOT_IMPLEMENTED",
                f"unknown Content-Encoding {encoding[:32]!r}; use gzip, lz4 or zstd",
            )
        self._decoder = found

    def file(self) -> IO[bytes]:
        return tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=str(self._folder))  # type: ignore[return-value]

    async def fill(self, file: IO[bytes], content: Any) -> None:
        """The whole body, decoded."""
        try:
            async for piece in content.iter_chunked(1 << 18):
                for plain in self._decoder.feed(piece):
                    self._write(file, plain)
            if content.total_bytes:
                self._decoder.finish()
        except BadBody as error:
            raise Refused(400, 354, "CANNOT_DECOMPRESS", f"cannot decompress the body: {error}") from None

    async def fill_part(self, file: IO[bytes], part: BodyPartReader) -> None:
        """One part of a form."""
        while piece := await part.read_chunk(1 << 18):
            self._write(file, bytes(piece))

    def _write(self, file: IO[bytes], piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large()
        file.write(piece)


async def _read_form(
    request: web.Request, spool: _Spool, values: dict[str, str], external: dict[str, ExternalTable]
) -> None:
    try:
        reader = await request.multipart()
        fields = 0
        while (part := await reader.next()) is not None:
            fields += 1
            if not isinstance(part, BodyPartReader) or not part.name or fields > MAX_FIELDS:
                raise Refused(400, 36, "BAD_ARGUMENTS", "the form has nested, nameless or too many parts")
            with_file = spool.file()
            await spool.fill_part(with_file, part)
            with_file.seek(0)
            # ClickHouse's rule: what has a file name is a table, and so is what has a structure.
            if (
                part.filename is not None
                or f"{part.name}_structure" in values
                or f"{part.name}_structure" in request.query
            ):
                external[part.name] = ExternalTable(part.name, with_file)
            else:
                values[part.name] = with_file.read().decode("utf-8", "surrogateescape")
                with_file.close()
    except (ValueError, AssertionError, RuntimeError) as error:
        raise Refused(400, 36, "BAD_ARGUMENTS", f"not a multipart form: {error}") from None


def _too_large() -> Refused:
    return Refused(
        413,
        307,
        "TOO_MANY_BYTES",
        f"a body may have {MAX_BODY_BYTES >> 20} MiB after decompression; send the rows in parts",
    )
