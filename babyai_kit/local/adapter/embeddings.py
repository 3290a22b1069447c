"""Embeddings of a model server: asked in batches, its failures typed as those of chats are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from babyai_kit.configuration.remedies import OF_SETTINGS, Remedies
from babyai_kit.local.adapter.body import decoded, parsed
from babyai_kit.local.adapter.failures import failure_of, unreadable
from babyai_kit.local.adapter.upstream import Upstream
from babyai_kit.local.adapter.words import server_words

BATCH = 32
"""Texts of one request; the answer to more could be longer than is read."""


class EmbeddingClient:
    """The model `model` at the server of `base_url`, asked with `key`. An async context manager.

    `timeout_s`, `first_timeout_s`, `environ`, `remedies`: as of `Adapter`. Raises ConfigError for a proxy
    that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        key: str = "",
        timeout_s: float,
        first_timeout_s: float,
        environ: Mapping[str, str] | None = None,
        remedies: Remedies = OF_SETTINGS,
    ) -> None:
        self._model = model
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._remedies = remedies
        self._upstream = Upstream(
            base_url,
            os.environ if environ is None else environ,
            timeout_s=timeout_s,
            first_timeout_s=first_timeout_s,
            remedies=remedies,
            path="embeddings",
        )

    async def __aenter__(self) -> EmbeddingClient:
        await self._upstream.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._upstream.__aexit__()

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of `texts`, in their order and all of one length. Raises ModelError."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            vectors += await self._batch(texts[start : start + BATCH])
        if len({len(vector) for vector in vectors}) > 1:
            raise unreadable("its vectors differ in length", remedies=self._remedies)
        return vectors

    async def _batch(self, texts: Sequence[str]) -> list[list[float]]:
        request = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        reply = await self._upstream.post(json.dumps(request).encode(), self._headers)
        text = decoded(reply.body, reply.charset)
        content = parsed(text, whole=reply.whole)
        words = server_words(content, text[:4096])
        if not 200 <= reply.status < 300:
            raise failure_of(reply.status, words, retry_after_s=reply.retry_after_s, remedies=self._remedies)
        vectors = _vectors(content)
        if len(vectors) != len(texts):
            reason = f"{len(vectors)} vectors for {len(texts)} texts" if vectors else words
            raise unreadable(reason, remedies=self._remedies)
        return vectors


def _vectors(content: Any) -> list[list[float]]:
    """Those of an answer in OpenAI's form, in the order of the texts; none if it is of another form."""
    try:
        rows = sorted(content["data"], key=lambda row: row["index"])
        return [[float(number) for number in row["embedding"]] for row in rows if row["embedding"]]
    except (KeyError, TypeError, ValueError):
        return []
