"""Uploaded files on disk: two files for each upload, of which `ID.json` is written last.

An upload that broke off therefore leaves nothing that is listed.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from pathlib import Path
from typing import Any

from babyai_kit.atomic_files import write_atomically, write_json_atomically
from babyai_kit.local.player.protocol import ProtocolError

_ID = re.compile(r"file-[A-Za-z0-9]{1,64}")


def new_id(prefix: str) -> str:
    """An id; ids sort by the time they were created."""
    return f"{prefix}{time.time_ns():016x}{secrets.token_hex(4)}"


class FileStore:
    """The files under `folder`, which is created. Each is described by OpenAI's file object (a dict)."""

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
        write_atomically(self._path(entry["id"], "bin"), content)
        write_json_atomically(self._path(entry["id"], "json"), entry)
        return entry

    def get(self, file_id: str) -> dict[str, Any]:
        """Raises ProtocolError (404) for an unknown id."""
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
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def delete(self, file_id: str) -> None:
        """Raises ProtocolError (404)."""
        self.get(file_id)
        for suffix in ("json", "bin"):
            self._path(file_id, suffix).unlink(missing_ok=True)

    def _path(self, file_id: str, suffix: str) -> Path:
        return self._folder / f"{file_id}.{suffix}"
