"""The model server as `doctor` sees it: does it answer, accept the key, list the model, and for how long.

Its list costs nothing. What it says is bounded, and escaped where it is printed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import date
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from babyai_kit.cli.finding import NOTE, OK, TROUBLE, Finding
from babyai_kit.configuration import retirements
from babyai_kit.configuration.proxies import is_near, proxy_for
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.urls import endpoint, with_version
from babyai_kit.gateway.http_gateway import read_at_most
from babyai_kit.hostile_text import one_line, parse_json
from babyai_kit.local.adapter.connections import connection_failure, proxy_refusal

MAX_BYTES = 4_000_000
"""Read of a list; the longest known ones have some hundred kilobytes."""

MAX_NAME = 80
"""Characters shown of a model's name."""


async def model(
    settings: Settings, *, has_price: bool, timeout_s: float = 10.0, today: date | None = None
) -> Finding:
    """Ask the model server for its list, which costs nothing and shows whether it accepts the key.

    `today`, from which the days of a model that goes are counted: by this machine's clock unless given.
    """
    if settings.offline:
        text = "offline player, which is NO language model; set OPENAI_API_KEY or OPENAI_BASE_URL to use one"
        return Finding(NOTE, "Model", text)
    price = "" if has_price else "; no price is known, so cost is NaN: add one to config/prices.json"
    today = today or date.today()
    base = settings.openai_base_url
    going = retirements.warning(settings.model, today, base_url=base or settings.gateway_url)
    if not base:
        text = f"{settings.model}, as configured at the gateway{price}"
        return Finding(NOTE, "Model", f"{text}; {going}") if going else Finding(OK, "Model", text)
    where = settings.redact(base)
    headers = {"Authorization": f"Bearer {settings.openai_api_key}"} if settings.openai_api_key else {}
    try:
        status, models = await _list(base, headers, timeout_s)
        if not models and status not in (401, 403) and not urlsplit(base).path.rstrip("/").endswith("/v1"):
            _, elsewhere = await _list(with_version(base), headers, timeout_s)
            if elsewhere:
                better = settings.redact(with_version(base)).rstrip("/")
                text = f"{where} does not list models, but {better} does; set OPENAI_BASE_URL={better}"
                return Finding(TROUBLE, "Model", text)
    except aiohttp.ClientError as error:
        # As a run says it; the library's text can hold a proxy's password.
        reason = settings.redact(str(connection_failure(error, base, proxy_for(base, os.environ))))
        return Finding(TROUBLE, "Model", f"{where} does not answer: {reason}")
    except (asyncio.TimeoutError, ValueError) as error:
        reason = settings.redact(one_line(str(error), 300)) or type(error).__name__
        remedy = "start it" if is_near(urlsplit(base).hostname or "") else "check the network connection"
        text = f"{where} does not answer ({reason}); {remedy}, or correct OPENAI_BASE_URL"
        return Finding(TROUBLE, "Model", text)
    if status == 407:
        reason = str(proxy_refusal(407, proxy_for(base, os.environ), "Proxy Authentication Required"))
        return Finding(TROUBLE, "Model", f"{where} does not answer: {reason}")
    if status in (401, 403):
        return Finding(TROUBLE, "Model", f"{where} refuses the key ({status}); set OPENAI_API_KEY in .env")
    days = {_canonical(name): day for name, day in models.items()}
    if models and _canonical(settings.model) not in days:
        choices = ", ".join(one_line(name, MAX_NAME) for name in sorted(models)[:5])
        text = (
            f"{where} does not list {settings.model}; set AGENT_MODEL to one of {choices}"
            f"{', ...' if len(models) > 5 else ''}"
        )
        return Finding(TROUBLE, "Model", f"{text} ({going})" if going else text)
    if not models:
        answer = "answers" if status == 200 else f"answers with status {status}"
        text = (
            f"{where} {answer} and lists no models; the first call will show whether it has {settings.model}"
        )
        return Finding(NOTE, "Model", f"{text}; {going}" if going else text)
    text = f"{settings.model} at {where}{price}"
    listed = days[_canonical(settings.model)]
    if going := retirements.warning(settings.model, today, listed=listed, base_url=base):
        return Finding(NOTE, "Model", f"{text}; {going}")
    return Finding(OK if has_price else NOTE, "Model", text)


async def _list(
    base: str, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, dict[str, date | None]]:
    """Status and names of a server's list of models, with the day from which each is not served if the list
    has it; no names if it is not such a list or too long."""
    async with (
        # Unpacked, a short answer can have gigabytes.
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers={"Accept-Encoding": "identity", **headers},
            auto_decompress=False,
        ) as client,
        client.get(URL(endpoint(base, "models"), encoded=True), proxy=proxy_for(base, os.environ)) as reply,
    ):
        try:
            body = await read_at_most(reply.content, MAX_BYTES) if reply.status == 200 else None
            return reply.status, _names(parse_json(body or b""))
        except ValueError:
            return reply.status, {}


def _names(answer: object) -> dict[str, date | None]:
    """The names and days in a list of models, whatever else is in it; some servers send the list alone."""
    models = answer.get("data") if isinstance(answer, dict) else answer
    rows = [row for row in models if isinstance(row, dict)] if isinstance(models, list) else []
    return {
        name: _day(row.get("shutdown_date"))
        for row in rows
        if isinstance(name := row.get("id"), str) and name.strip()
    }


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if isinstance(text, str) else None
    except ValueError:
        return None


def _canonical(name: str) -> str:
    """One spelling for the names that servers take for the same model."""
    return name.removeprefix("models/").removesuffix(":latest")
