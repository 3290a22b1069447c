"""/v1/files: OpenAI's files API over a FileStore."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import BodyPartReader, web

from babyai_kit.local.player.file_store import FileStore
from babyai_kit.local.player.protocol import ProtocolError, page

MAX_FILE_BYTES = 512 * 1024**2
PURPOSES = ("fine-tune", "assistants", "batch", "vision", "user_data", "evals")


class FileEndpoint:
    def __init__(self, store: FileStore) -> None:
        self._store = store

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        files = f"{base}/files"
        router.add_post(files, self._upload)
        router.add_get(files, self._list)
        router.add_get(f"{files}/{{id}}", self._show)
        router.add_get(f"{files}/{{id}}/content", self._content)
        router.add_delete(f"{files}/{{id}}", self._delete)

    async def _upload(self, http: web.Request) -> web.Response:
        if not http.content_type.startswith("multipart/"):
            raise ProtocolError(400, "Invalid body: expected multipart/form-data.")
        try:
            purpose, filename, content = await _read_form(http)
        except (ValueError, AssertionError, RuntimeError):
            raise ProtocolError(400, "Invalid body: not a multipart form.") from None
        if content is None:
            raise ProtocolError(400, "'file' is a required property", param="file")
        if purpose not in PURPOSES:
            message = f"Invalid 'purpose': expected one of {', '.join(PURPOSES)}."
            raise ProtocolError(400, message, param="purpose")
        if not content:
            raise ProtocolError(400, "File is empty.", param="file")
        return web.json_response(await asyncio.to_thread(self._store.add, filename, purpose, content))

    async def _list(self, http: web.Request) -> web.Response:
        entries = await asyncio.to_thread(self._store.all)
        if http.query.get("order") == "asc":
            entries.reverse()
        if purpose := http.query.get("purpose"):
            entries = [entry for entry in entries if entry["purpose"] == purpose]
        return web.json_response(page(entries, http.query, default_limit=10_000, max_limit=10_000))

    async def _show(self, http: web.Request) -> web.Response:
        return web.json_response(self._store.get(http.match_info["id"]))

    async def _content(self, http: web.Request) -> web.StreamResponse:
        path = self._store.content(http.match_info["id"])
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})

    async def _delete(self, http: web.Request) -> web.Response:
        file_id = http.match_info["id"]
        self._store.delete(file_id)
        return web.json_response({"id": file_id, "object": "file", "deleted": True})


async def _read_form(http: web.Request) -> tuple[str, str, bytes | None]:
    """Purpose, file name and content; None if there is no file."""
    purpose, filename, content = "", "", None
    parts = await http.multipart()
    while (part := await parts.next()) is not None:
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "purpose":
            purpose = (await _read(part)).decode("utf-8", "replace")
        elif part.name == "file":
            filename, content = Path(part.filename or "file").name, await _read(part)
    return purpose, filename, content


async def _read(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(1 << 16):
        content += chunk
        if len(content) > MAX_FILE_BYTES:
            limit = f"{MAX_FILE_BYTES // 1024**2} MB"
            raise ProtocolError(413, f"File is larger than {limit}.", param="file")
    return bytes(content)
