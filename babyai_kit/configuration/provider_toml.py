"""What the kit writes into a provider's TOML: where its key is, what tokens cost, how long it may take."""

from __future__ import annotations

from typing import Any

from babyai_kit.configuration.prices import FREE, Price
from babyai_kit.configuration.settings import FIRST_TIMEOUTS, MAX_TIMEOUT_MS, Settings
from babyai_kit.configuration.usage_forms import Tokens, cost_entries

NO_TIMEOUT_MS = FIRST_TIMEOUTS * MAX_TIMEOUT_MS
"""For a gateway in front of the adapter, which gives an answer up in time."""


def api_key_location(settings: Settings) -> str:
    """Where a gateway finds the model server's key: the key itself is never written."""
    return "env::OPENAI_API_KEY" if settings.openai_api_key else "none"


def cost_toml(price: Price | None, provider: str = "openai") -> str:
    """The provider's line of TOML that tells the gateway what tokens cost; empty where nothing is paid."""
    if price is None or price is FREE:
        return ""
    prices: dict[Tokens, float] = {"input": price.input, "output": price.output}
    if price.cached_input is not None:
        prices["cached"] = price.cached_input
    if price.cache_write is not None:
        prices["written"] = price.cache_write
    entries = (
        f'{{ pointer = "{entry["pointer"]}", cost_per_million = {entry["cost_per_million"]}, '
        f"required = {str(entry['required']).lower()} }}"
        for entry in cost_entries(provider, prices)
    )
    return f"cost = [{', '.join(entries)}]"


def timeouts(timeout_ms: int) -> dict[str, Any]:
    return {"non_streaming": {"total_ms": timeout_ms}}
