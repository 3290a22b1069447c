"""Why no answer came over a connection: the server is away, a proxy refuses, protocols differ.

No message has an address as the library writes it: a proxy's can hold a password.
"""

from __future__ import annotations

import re

import aiohttp
from yarl import URL

from babyai_kit.configuration.proxies import unreachable
from babyai_kit.errors import ModelError
from babyai_kit.hostile_text import one_line
from babyai_kit.local.adapter.words import MAX_WORDS

_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTP_REQUEST")
_CHECK_PROXY = "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"


def connection_failure(error: aiohttp.ClientError, url: str, proxy: str | None) -> ModelError:
    """The typed error for a connection to `url` that failed with `error`; `proxy`: what it went through."""
    reason = one_line(str(error) or type(error).__name__, MAX_WORDS)
    through = f" through the proxy {URL(proxy).host}" if proxy else ""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_refusal(error.status, proxy, one_line(error.message, MAX_WORDS))
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return _away(f"the model server cannot be reached{through}; {_CHECK_PROXY}: {reason}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ModelError(
            "the model server's certificate is not trusted; let SSL_CERT_FILE name a file with that of its "
            f"authority: {reason}",
            kind="connection",
            fatal=True,
        )
    if isinstance(error, aiohttp.ClientSSLError) and _NO_TLS.search(reason):
        return ModelError(
            "the model server does not use TLS at this address; write http:// instead of https:// in "
            f"OPENAI_BASE_URL: {reason}",
            kind="connection",
            fatal=True,
        )
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return _away(f"{unreachable('the model server', url, through=through)}: {reason}")
    if isinstance(error, aiohttp.ClientResponseError):
        return ModelError(
            "the model server does not answer as HTTP servers do; check the port of OPENAI_BASE_URL and the "
            f"server's log: {one_line(error.message, MAX_WORDS)}",
            kind="server",
            retryable=True,
        )
    # A request that makes its server break off would be sent for ever if this counted as a server away.
    return ModelError(
        f"the model server broke off the connection; check its log: {reason}", kind="server", retryable=True
    )


def proxy_refusal(status: int, proxy: str | None, words: str) -> ModelError:
    """The typed error for a `proxy` that answered with `status` in place of the server.

    Only 403 and 407 are about the user's rights; the others can pass.
    """
    name = f"the proxy {URL(proxy).host}" if proxy else "a proxy"
    fatal = status in (403, 407)
    remedy = "give its user and password, as in http://USER:PASSWORD@proxy:3128, in HTTP_PROXY or HTTPS_PROXY"
    return ModelError(
        f"{name} did not let the request through ({status}); "
        f"{remedy if status == 407 else _CHECK_PROXY}: {words}",
        kind="connection",
        retryable=not fatal,
        fatal=fatal,
    )


def _away(message: str) -> ModelError:
    return ModelError(message, kind="connection", retryable=True)
