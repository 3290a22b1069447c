"""/v1/models: what is served, fine-tuned models included, which can be deleted."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

from aiohttp import web

from babyai_kit.local.player.chat_endpoint import ChatEndpoint
from babyai_kit.local.player.model_directory import ModelDirectory, is_of


class ModelEndpoint:
    def __init__(self, chat: ChatEndpoint, directory: ModelDirectory) -> None:
        self._chat, self._directory = chat, directory

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        router.add_get(f"{base}/models", self._list)
        router.add_get(f"{base}/models/{{id:.+}}", self._show)
        router.add_delete(f"{base}/models/{{id:.+}}", self._delete)

    async def _list(self, http: web.Request) -> web.Response:
        owners = {name: model.owner for name, model in self._chat.models.items()}
        owners |= {name: source.trainer.owner for name, source in self._directory.fine_tuned().items()}
        return web.json_response({"object": "list", "data": [_card(*entry) for entry in owners.items()]})

    async def _show(self, http: web.Request) -> web.Response:
        name = http.match_info["id"]
        model = await self._chat.model(name)
        return web.json_response(_card(name, model.owner))

    async def _delete(self, http: web.Request) -> web.Response:
        name = http.match_info["id"]
        gone = self._directory.delete(name)
        for served in [served for served in self._chat.models if is_of(served, name)]:
            del self._chat.models[served]
        await asyncio.to_thread(shutil.rmtree, gone, ignore_errors=True)
        return web.json_response({"id": name, "object": "model", "deleted": True})


def _card(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
