"""Prices of hosted models, as the package genai-prices lists them. Its data are in the package: no network.

A model is looked up at the provider that bills it, so that a model served by somebody else never gets the
price of a namesake. OpenAI's models count where no provider is known, too: a proxy passes their bill on.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timezone
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:  # importing it takes about 0.15 s, which a run with a free model need not wait for
    from genai_prices.types import ModelPrice

PACKAGE = "genai-prices"

_OPENAI = "openai"
_PROVIDERS = {
    "anthropic": "anthropic",
    "aws_bedrock": "aws",
    "azure": "azure",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "gcp_vertex_anthropic": "google",
    "gcp_vertex_gemini": "google",
    "google_ai_studio_gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "openrouter": "openrouter",
    "together": "together",
    "xai": "x-ai",
}
"""The package's name of a gateway's provider type. Types that are not here serve models of one's own."""

_OWN_MODELS = {"modal"}
"""Providers whose hosts serve what a user deployed there, under names that their price list has too."""

_OPENAI_MODEL = re.compile(r"chatgpt-|gpt-(?!oss)|o\d")
"""What OpenAI alone serves; gpt-oss is served by anyone."""
_DATE = r"-?\d{4}-?\d\d-?\d\d"


class ListedPrice(NamedTuple):
    """US dollars per million tokens; None where the list has no figure of its own."""

    input: float
    output: float
    cached_input: float | None
    cache_write: float | None


def version() -> str:
    """The installed version of the price list."""
    return metadata.version(PACKAGE)


@lru_cache(maxsize=1024)
def listed_price(model: str, provider: str = "", base_url: str = "") -> ListedPrice | None:
    """Today's price of `model`, for prompts short enough for the lowest tier; None where none is listed.

    `provider` and `base_url` as for `Prices.price_of`. Where the price depends on the time of day, the
    highest: a budget holds at any hour.
    """
    if provider in ("", _OPENAI):
        seller = seller_of(base_url) if base_url else _OPENAI
        if seller in (None, _OPENAI):
            return _price(model, _OPENAI) if _is_openai_model(model) else None
    else:
        seller = _PROVIDERS.get(provider)
    return _price(model, seller) if seller and seller not in _OWN_MODELS else None


def seller_of(base_url: str) -> str | None:
    """The package's name for who bills what is asked at `base_url`; None for a host that it does not know."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        parts = urlsplit(base_url)
        address = f"https://{(parts.hostname or '').lower()}{parts.path}"
        seller = get_snapshot().find_provider(None, None, address)
    except (LookupError, ValueError):
        return None
    # Most patterns do not end where the host does: api.openai.com.example.org is somebody else's.
    return seller.id if re.match(rf"(?:{seller.api_pattern})(?:(?<=[/.])|/|$)", address) else None


def _is_openai_model(model: str) -> bool:
    """True if OpenAI's list names exactly this model or a dated version of it, not merely one alike."""
    if not _OPENAI_MODEL.match(model):
        return False
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, listed = get_snapshot().find_provider_model(model, None, _OPENAI, None)
    except LookupError:
        return False
    return _names(listed.match, model)


def _names(clause: Any, model: str) -> bool:
    if alternatives := getattr(clause, "or_", None):
        return any(_names(alternative, model) for alternative in alternatives)
    if prefix := getattr(clause, "starts_with", None):
        return re.fullmatch(re.escape(prefix.rstrip("-")) + _DATE, model) is not None
    if pattern := getattr(clause, "regex", None):
        return re.fullmatch(pattern, model) is not None
    return getattr(clause, "equals", None) == model


def _price(model: str, seller: str) -> ListedPrice | None:
    from genai_prices import Usage, calc_price

    today = datetime.now(tz=timezone.utc).date()
    hours = (datetime.combine(today, time(hour), timezone.utc) for hour in range(24))
    nothing = Usage(input_tokens=0, output_tokens=0)
    try:
        found = [
            calc_price(nothing, model, provider_id=seller, genai_request_timestamp=hour).model_price
            for hour in hours
        ]
    except (LookupError, ValueError):
        return None
    prices = [price for hourly in found if (price := _base(hourly, free=model.endswith(":free")))]
    return max(prices, key=lambda price: price.input + price.output, default=None)


def _base(price: ModelPrice, *, free: bool) -> ListedPrice | None:
    """The lowest tier of `price`; None without a price of text. `free`: no figure at all means no cost."""

    def dollars(name: str) -> float | None:
        value = getattr(price, name, None)
        return None if value is None else float(getattr(value, "base", value))

    text_in, text_out = dollars("input_mtok"), dollars("output_mtok")
    if free and text_in is None and text_out is None:
        return ListedPrice(0.0, 0.0, None, None)
    if text_in is None or text_out is None:
        return None
    return ListedPrice(text_in, text_out, dollars("cache_read_mtok"), dollars("cache_write_mtok"))
