"""What the kit writes into a provider's TOML: where its key is, what tokens cost, how long it may take."""

from __future__ import annotations

from typing import Any

from babyai_kit.configuration.prices import FREE, Price
from babyai_kit.configuration.settings import FIRST_TIMEOUTS, MAX_TIMEOUT_MS, Settings

NO_TIMEOUT_MS = FIRST_TIMEOUTS * MAX_TIMEOUT_MS
"""For a gateway in front of the adapter, which gives an answer up in time."""


def api_key_location(settings: Settings) -> str:
    """Where a gateway finds the model server's key: the key itself is never written."""
    return "env::OPENAI_API_KEY" if settings.openai_api_key else "none"


def cost_toml(price: Price | None, provider: str = "openai") -> str:
    """The provider's line of TOML that tells the gateway what tokens cost; empty where nothing is paid."""
    if price is None or price is FREE or provider != "openai":
        return ""
    entries = (
        f'{{ pointer = "/usage/{tokens}_tokens", cost_per_million = {dollars}, required = true }}'
        for tokens, dollars in (("prompt", price.input), ("completion", price.output))
    )
    return f"cost = [{', '.join(entries)}]"


def timeouts(timeout_ms: int) -> dict[str, Any]:
    return {"non_streaming": {"total_ms": timeout_ms}}
