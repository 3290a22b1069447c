"""The HTTP client for fine-tuning servers: which proxies apply, how long and how large an answer may be.

Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any

import openai

from babyai_kit.configuration.proxies import proxy_for
from babyai_kit.errors import ConfigError
from babyai_kit.finetune.refusals import is_final, server_words

MAX_ANSWER_BYTES = 8 * 1024**2
"""Of one answer, unpacked; the longest known ones, a hundred events, have some ten kilobytes."""
CONNECT_S = 10.0
TIMEOUT_S = 60.0
"""For a whole question and answer."""
UPLOAD_TIMEOUT_S = 3600.0
"""For a whole upload: 512 MB over a slow line."""
STALL_S = 600.0
"""For one step of an upload, such as the server's check of the file after its last byte."""


class AnswerTooLarge(openai.OpenAIError):
    """More than MAX_ANSWER_BYTES. The package passes its own errors on without another try."""


class HttpClient(openai.DefaultAsyncHttpxClient):
    """The `openai` package's client, bounded in time and memory."""

    def __init__(self, base_url: str, timeout_s: float = TIMEOUT_S) -> None:
        """Raises ConfigError for proxy or certificate variables that cannot be used."""
        self._timeout_s = timeout_s
        proxy, certificates = proxy_for(base_url, os.environ), _certificates()
        try:
            super().__init__(trust_env=False, proxy=proxy, verify=certificates)
        except Exception:
            # The HTTP library has errors of its own for addresses.
            raise ConfigError(
                "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not a proxy's address; write it like "
                "http://proxy:3128, or unset it"
            ) from None

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """The whole answer, whatever `stream` says. Raises APITimeoutError and AnswerTooLarge."""
        upload = request.headers.get("content-type", "").startswith("multipart/")
        limit_s = UPLOAD_TIMEOUT_S if upload else self._timeout_s
        try:
            return await asyncio.wait_for(self._whole(request, options), limit_s)
        except asyncio.TimeoutError:
            raise openai.APITimeoutError(request=request) from None

    async def _whole(self, request: Any, options: dict[str, Any]) -> Any:
        response = await super().send(request, stream=True, **options)
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    break
        finally:
            await response.aclose()
        failed = response.status_code >= 400
        if len(body) > MAX_ANSWER_BYTES:
            if not failed:
                raise AnswerTooLarge(f"an answer of more than {MAX_ANSWER_BYTES // 1024**2} MB")
            body.clear()
        headers = dict(response.headers)
        for name in ("content-encoding", "content-length", "transfer-encoding"):
            headers.pop(name, None)
        if failed and is_final(response.status_code, server_words(bytes(body))):
            # How a server tells the package not to try again.
            headers["x-should-retry"] = "false"
        return type(response)(
            response.status_code, headers=headers, content=bytes(body), request=response.request
        )


def _certificates() -> ssl.SSLContext | bool:
    """The authorities that the environment names; True: those that the HTTP library knows."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(name)
        if path and not os.path.exists(path):
            raise ConfigError(f"{name} names {path}, which does not exist; correct or unset it")
        if path:
            return ssl.create_default_context()
    return True
