"""Uploaded files: on disk, and as /v1/files.

Knows OpenAI's files API and a folder with two files for each upload (`ID.json` is written last, so a
broken upload leaves nothing that is listed); nothing of what the files are for.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from babyai_kit.local.player.chat_request import ProtocolError
from babyai_kit.local.player.paging import page

MOST_BYTES = 512 * 1024**2
PURPOSES = ("fine-tune", "assistants", "batch", "vision", "user_data", "evals")
_ID = re.compile(r"file-[A-Za-z0-9]{1,64}")


def new_id(prefix: str) -> str:
    """An id whose alphabetical order is that of creation."""
    return f"{prefix}{time.time_ns():016x}{secrets.token_hex(4)}"


def write_json(path: Path, value: Any) -> None:
    """Replace `path` as a whole."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(path)


class FileStore:
    """The files under `folder`, which is made. Each is described by OpenAI's file object (a dict)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, filename: str, purpose: str, content: bytes) -> dict[str, Any]:
        """Keep `content`; returns its file object. Blocks."""
        entry: dict[str, Any] = {
            "id": new_id("file-"),
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
            "expires_at": None,
            "status_details": None,
        }
        self._path(entry["id"], "bin").write_bytes(content)
        write_json(self._path(entry["id"], "json"), entry)
        return entry

    def get(self, file_id: str) -> dict[str, Any]:
        """Raises ProtocolError (404) for an id that is not here."""
        if _ID.fullmatch(file_id):
            try:
                return json.loads(self._path(file_id, "json").read_text(encoding="utf-8"))
            except FileNotFoundError:
                pass
        raise ProtocolError(404, f"No such File object: {file_id}", param="id")

    def content(self, file_id: str) -> Path:
        """Where the bytes of a file are. Raises ProtocolError (404)."""
        return self._path(self.get(file_id)["id"], "bin")

    def all(self) -> list[dict[str, Any]]:
        """Newest first."""
        paths = sorted(self._folder.glob("file-*.json"), reverse=True)
        return [json.loads(p.read_text(encoding="utf-8")) for p in paths]

    def delete(self, file_id: str) -> None:
        """Raises ProtocolError (404)."""
        self.get(file_id)
        for ending in ("json", "bin"):
            self._path(file_id, ending).unlink(missing_ok=True)

    def _path(self, file_id: str, ending: str) -> Path:
        return self._folder / f"{file_id}.{ending}"


class FileRoutes:
    """/v1/files over a FileStore."""

    def __init__(self, store: FileStore) -> None:
        self._store = store

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/files", self._upload)
        router.add_get("/v1/files", self._list)
        router.add_get("/v1/files/{id}", self._show)
        router.add_get("/v1/files/{id}/content", self._content)
        router.add_delete("/v1/files/{id}", self._delete)

    async def _upload(self, http: web.Request) -> web.Response:
        if not http.content_type.startswith("multipart/"):
            raise ProtocolError(400, "Invalid body: expected multipart/form-data.")
        purpose, filename, content = "", "", None
        parts = await http.multipart()
        while (part := await parts.next()) is not None:
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "purpose":
                purpose = (await _read(part)).decode("utf-8", "replace")
            elif part.name == "file":
                filename, content = Path(part.filename or "file").name, await _read(part)
        if content is None:
            raise ProtocolError(400, "'file' is a required property", param="file")
        if purpose not in PURPOSES:
            raise ProtocolError(
                400, f"Invalid 'purpose': expected one of {', '.join(PURPOSES)}.", param="purpose"
            )
        if not content:
            raise ProtocolError(400, "File is empty.", param="file")
        return web.json_response(await asyncio.to_thread(self._store.add, filename, purpose, content))

    async def _list(self, http: web.Request) -> web.Response:
        entries = await asyncio.to_thread(self._store.all)
        if http.query.get("order") == "asc":
            entries.reverse()
        if purpose := http.query.get("purpose"):
            entries = [e for e in entries if e["purpose"] == purpose]
        return web.json_response(page(entries, http.query, default=10_000, most=10_000))

    async def _show(self, http: web.Request) -> web.Response:
        return web.json_response(self._store.get(http.match_info["id"]))

    async def _content(self, http: web.Request) -> web.StreamResponse:
        file = self._store.content(http.match_info["id"])
        return web.FileResponse(file, headers={"Content-Type": "application/octet-stream"})

    async def _delete(self, http: web.Request) -> web.Response:
        file_id = http.match_info["id"]
        self._store.delete(file_id)
        return web.json_response({"id": file_id, "object": "file", "deleted": True})


async def _read(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(1 << 16):
        content += chunk
        if len(content) > MOST_BYTES:
            raise ProtocolError(413, f"File is larger than {MOST_BYTES // 1024**2} MB.", param="file")
    return bytes(content)
