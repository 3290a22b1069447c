"""POST /v1/embeddings, for the models that have embeddings."""

from __future__ import annotations

import base64
import struct
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from babyai_kit.local.player.model_directory import ServedModel
from babyai_kit.local.player.protocol import ProtocolError, parse_object


class EmbeddingEndpoint:
    """`find_model`: the model of a name; raises ProtocolError (404)."""

    def __init__(self, find_model: Callable[[str], Awaitable[ServedModel]]) -> None:
        self._find_model = find_model

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        router.add_post(f"{base}/embeddings", self._embed)

    async def _embed(self, http: web.Request) -> web.Response:
        from babyai_kit.local.player.request_bodies import EmbeddingBody
        from babyai_kit.local.player.validation import validate

        body = validate(EmbeddingBody, parse_object(await http.read()))
        model = await self._find_model(body.model)
        if model.embedder is None:
            raise ProtocolError(400, f"The model `{body.model}` has no embeddings.", param="model")
        result = await model.embedder(body.input)
        write = _as_base64 if body.encoding_format == "base64" else list
        rows = [
            {"object": "embedding", "index": index, "embedding": write(vector)}
            for index, vector in enumerate(result.vectors)
        ]
        usage = {"prompt_tokens": result.tokens, "total_tokens": result.tokens}
        return web.json_response({"object": "list", "data": rows, "model": body.model, "usage": usage})


def _as_base64(vector: Sequence[float]) -> str:
    """Little-endian numbers of 32 bits, as clients of OpenAI's API read them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
