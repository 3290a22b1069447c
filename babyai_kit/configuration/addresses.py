"""Every address and port of the kit's services, once.

All of them are on loopback. docker-compose.yml repeats those of its services, and a test keeps the two equal.
"""

from __future__ import annotations

from urllib.parse import urlsplit

HOST = "127.0.0.1"
CONTAINERS_HOST = "host.docker.internal"
"""This machine as a container sees it; Docker Desktop leads it to loopback."""

LOCAL_CLICKHOUSE_PORT = 18123
CLICKHOUSE_USER = CLICKHOUSE_DATABASE = "babyai"
"""Of the local ClickHouse; Compose's has the same user."""
PLAYER_PORT = 18124
"""Of the offline player served by hand or by Compose; inside a session it takes any free port."""
ADAPTER_PORT = 18125
"""Of the adapter served by hand or by Compose; inside a session it takes any free port."""

COMPOSE_GATEWAY_PORT, COMPOSE_UI_PORT, COMPOSE_CLICKHOUSE_PORT = 3000, 4000, 8123
COMPOSE_GATEWAY = f"http://{HOST}:{COMPOSE_GATEWAY_PORT}"
COMPOSE_UI = f"http://{HOST}:{COMPOSE_UI_PORT}"
COMPOSE_CLICKHOUSE = f"http://{HOST}:{COMPOSE_CLICKHOUSE_PORT}"
COMPOSE_PLAYER = f"http://player:{PLAYER_PORT}/v1/"
"""The offline player as the other containers see it."""
COMPOSE_LANGUAGE_MODEL = f"http://language-model:{PLAYER_PORT}/v1/"
"""The language model of this machine as the other containers see it."""
LANGUAGE_MODEL_PORT = 18126
"""Where Compose publishes it: beside the offline player, which may still run from an earlier `make up`."""
COMPOSE_ADAPTER = f"http://adapter:{ADAPTER_PORT}/v1/"
"""The adapter as the gateway's container sees it."""

OPENAI = "https://api.openai.com/v1/"

_LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}


def from_container(url: str) -> str:
    """`url` as a container sees it: this machine's loopback is CONTAINERS_HOST there."""
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK:
        return url
    credentials = parts.netloc.rpartition("@")[0]
    host = f"{CONTAINERS_HOST}:{parts.port}" if parts.port else CONTAINERS_HOST
    return parts._replace(netloc=f"{credentials}@{host}" if credentials else host).geturl()
