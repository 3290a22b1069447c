"""The adapter's server on loopback: one route, which asks the model server and answers in normal form."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Mapping
from types import TracebackType

from aiohttp import web

from babyai_kit.configuration.addresses import HOST
from babyai_kit.configuration.remedies import OF_SETTINGS, Remedies
from babyai_kit.errors import InputError, ModelError
from babyai_kit.local.adapter.body import decoded, parsed
from babyai_kit.local.adapter.failures import as_body, failure_of, unreadable
from babyai_kit.local.adapter.normal_form import MAX_KEPT, Completion, answer_in_failure, normal_form
from babyai_kit.local.adapter.upstream import MAX_BYTES, Upstream
from babyai_kit.local.adapter.words import server_words

BACKLOG = 1024
"""Connections that may wait to be accepted: a run opens as many at once as it has calls in flight."""

MAX_REQUEST_BYTES = 64 * 1024**2


class Adapter:
    """A server in the current event loop: `async with Adapter(url, timeout_s=60) as adapter:
    adapter.base_url`.

    `base_url`: the model server's. `timeout_s`: for one answer of it, `first_timeout_s`: for the first.
    `path`: of this server's address; by default a random one, which only the gateway of this process knows.
    `remedies`: with which its messages end.
    The caller's Authorization header is passed on and no other secret is held. Raises ConfigError for a proxy
    that cannot be used and, on entering, InputError for a port that is taken.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        first_timeout_s: float,
        host: str = HOST,
        port: int = 0,
        path: str | None = None,
        environ: Mapping[str, str] | None = None,
        remedies: Remedies = OF_SETTINGS,
    ) -> None:
        self._upstream = Upstream(
            base_url,
            os.environ if environ is None else environ,
            timeout_s=timeout_s,
            first_timeout_s=first_timeout_s,
            remedies=remedies,
        )
        self._remedies = remedies
        self._host = host
        self._port = port
        self._path = secrets.token_urlsafe(16) if path is None else path.strip("/")

    @property
    def base_url(self) -> str:
        """Where the gateway asks, ending in a slash."""
        return f"http://{self._host}:{self._port}/{self._path}/"

    async def __aenter__(self) -> Adapter:
        await self._upstream.__aenter__()
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_post(f"/{self._path}/chat/completions", self._chat)
        app.router.add_get("/health", _health)
        # A caller that leaves no longer wants the answer, and the model server may stop working on it.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            await self._close()
            raise InputError(
                f"port {self._port} cannot be used ({error.strerror}); choose another or 0 for any"
            ) from None
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._upstream.__aexit__()

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"Content-Type": "application/json"}
        if "Authorization" in request.headers:
            headers["Authorization"] = request.headers["Authorization"]
        try:
            answer = await self._ask(body, headers)
            if not answer.has_message:
                # As servers do for prompts that a filter blocks, and some by chance.
                answer = await self._ask(body, headers)
        except ModelError as error:
            return web.json_response(as_body(error), status=400)
        return web.json_response(answer.as_body())

    async def _ask(self, body: bytes, headers: Mapping[str, str]) -> Completion:
        reply = await self._upstream.post(body, headers)
        text = decoded(reply.body, reply.charset)
        content = parsed(text, whole=reply.whole)
        if not 200 <= reply.status < 300:
            refused = answer_in_failure(reply.status, content)
            if refused is not None:
                return refused
            words = server_words(content, text[:4096])
            after_s = reply.retry_after_s
            raise failure_of(reply.status, words, retry_after_s=after_s, remedies=self._remedies)
        if content is None:
            reason = server_words(None, text[:4096]) if text.strip() else "the answer is empty"
            raise unreadable(reason, remedies=self._remedies)
        answer = normal_form(content, retry_after_s=reply.retry_after_s, remedies=self._remedies)
        return answer if reply.whole else _cut(answer)


def _cut(answer: Completion) -> Completion:
    """`answer`, which was longer than is read: it counts as cut off."""
    note = f" [the rest was not read: the answer is longer than {MAX_BYTES >> 20} MiB]"
    content = (answer.content or "")[:MAX_KEPT] + note
    return dataclasses.replace(
        answer, content=content, reasoning=None, finish_reason="length", has_message=True
    )


async def _health(_: web.Request) -> web.Response:
    return web.Response(text=json.dumps({"adapter": "ok"}), content_type="application/json")
