"""The HTTP client for fine-tuning servers: which proxies apply, how long and how large an answer may be.

Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from typing import Any
from urllib.parse import urlsplit

import openai

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
    """The `openai` package's client, bounded in time and memory; on loopback no proxy applies."""

    def __init__(self, base_url: str, timeout_s: float = TIMEOUT_S) -> None:
        """Raises ConfigError for proxy or certificate variables that cannot be used."""
        self._timeout_s = timeout_s
        # Without the environment's proxies, the environment's certificates must be named.
        options: dict[str, Any] = (
            {"trust_env": False, "verify": ssl.create_default_context()} if is_loopback(base_url) else {}
        )
        try:
            super().__init__(**options)
        except OSError:
            raise ConfigError(
                "SSL_CERT_FILE or SSL_CERT_DIR does not name readable certificates; correct or unset it"
            ) from None
        except ImportError:
            raise ConfigError(
                "the proxy is a SOCKS proxy, which needs another package; run: pip install socksio, or unset "
                "ALL_PROXY"
            ) from None
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


def is_loopback(url: str) -> bool:
    """True if the host of `url` is this machine."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
