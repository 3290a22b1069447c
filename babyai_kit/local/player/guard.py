"""Who may ask the server, and every refusal in OpenAI's form."""

from __future__ import annotations

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler

from babyai_kit.configuration.addresses import CONTAINERS_HOST, HOST
from babyai_kit.configuration.loopback import foreign_reason
from babyai_kit.local.http.connections import HttpConnections
from babyai_kit.local.http.malformed import BAD_REQUESTS
from babyai_kit.local.player.call_counts import CallCounts
from babyai_kit.local.player.chat_endpoint import CHAT_PATH
from babyai_kit.local.player.protocol import API_BASES, ProtocolError, server_failure


class Guard:
    """A middleware in front of all routes. `host`: the address listened on; `api_key`: None if none is
    needed; `stats`: where refused chat calls are counted.

    A server with a key that listens beyond loopback may have any name: pages do not know the key.
    """

    def __init__(
        self, *, host: str, api_key: str | None, connections: HttpConnections, stats: CallCounts
    ) -> None:
        self._host, self._api_key, self._connections, self._stats = host, api_key, connections, stats

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            alone = self._host == HOST
            if alone or self._api_key is None:
                reason = foreign_reason(request, names={CONTAINERS_HOST}, nearby=not alone)
                if reason is not None:
                    raise ProtocolError(403, f"Forbidden: {reason}.", code="forbidden")
            self._check_key(request)
            self._connections.recognize(request)
            return await handler(request)
        except ProtocolError as error:
            refusal = error
        except BAD_REQUESTS:
            refusal = ProtocolError(400, "The body of the request is malformed.")
        except web.HTTPException as error:
            refusal = ProtocolError(error.status, f"{request.method} {request.path}: {error.reason}")
        except ConnectionError:  # the client has gone
            raise
        except Exception as error:
            refusal = server_failure(request, error)
        return web.json_response(refusal.body(), status=refusal.status, headers=refusal.headers)

    def _check_key(self, http: web.Request) -> None:
        base = next((base for base in API_BASES if http.path.startswith(f"{base}/")), None)
        if self._api_key is None or base is None:
            return
        key = http.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(key.encode("utf-8", "replace"), self._api_key.encode()):
            if http.path == base + CHAT_PATH:
                self._stats.requests += 1
                self._stats.refused += 1
            # The key that was sent is not repeated: it may be a real one.
            raise ProtocolError(401, "Incorrect API key provided.", code="invalid_api_key")
