"""Tokens and cost of recorded responses, through the real gateway: equal to the calculation by hand."""

from __future__ import annotations

from typing import Any

import pytest

from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.usage_forms import cost_entries
from babyai_kit.gateway.usage import details_of
from tests.support.anthropic_server import KEY, anthropic_server
from tests.support.model_server import completion, model_server
from tests.support.provider_gateway import ask, provider_gateway
from tests.support.provider_hosts import provider_hosts

pytestmark = pytest.mark.e2e

PRICES: Any = {"input": 1.0, "cached": 0.1, "written": 1.25, "output": 5.0}
"""US dollars per million tokens."""
OPENAI_USAGE = {
    "prompt_tokens": 100,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens": 30,
    "completion_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 130,
}
GEMINI_USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 40,
    "candidatesTokenCount": 10,
    "thoughtsTokenCount": 20,
}
DEEPSEEK_USAGE = OPENAI_USAGE | {
    "prompt_tokens_details": {"cached_tokens": 40},
    "prompt_cache_hit_tokens": 40,
    "prompt_cache_miss_tokens": 60,
}
ROUTED_USAGE = OPENAI_USAGE | {"prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10}}
CASES = {
    "openai": (OPENAI_USAGE, 60 * 1.0 + 40 * 0.1 + 30 * 5.0, 30),
    "google_ai_studio_gemini": (GEMINI_USAGE, 60 * 1.0 + 40 * 0.1 + 30 * 5.0, 30),
    "deepseek": (DEEPSEEK_USAGE, 60 * 1.0 + 40 * 0.1 + 30 * 5.0, 30),
    "openrouter": (ROUTED_USAGE, 50 * 1.0 + 40 * 0.1 + 10 * 1.25 + 30 * 5.0, 30),
    # Here reasoning is beside the completion, and not within.
    "xai": (OPENAI_USAGE, 60 * 1.0 + 40 * 0.1 + (30 + 20) * 5.0, 50),
}


async def check(gateway: Any, type_: str, cost: float, details: tuple[Any, ...], output: int = 30) -> None:
    response = await ask(gateway, type_)
    assert (response.usage.input_tokens, response.usage.output_tokens) == (100, output)
    assert response.usage.cost == pytest.approx(cost / 1e6)
    assert details_of(response.raw_usage) == details


async def test_cached_input_and_reasoning_are_paid_for_as_their_provider_counts_them(tmp_path, monkeypatch):
    tables = {
        type_: {"type": type_, "model_name": "m", "cost": cost_entries(type_, PRICES)} for type_ in CASES
    }
    for type_ in tables:
        monkeypatch.setenv(PROVIDERS[type_].key, "k")

    parts = {"role": "model", "parts": [{"text": "{}"}]}
    gemini = {"candidates": [{"content": parts}], "usageMetadata": GEMINI_USAGE}
    of_host = {"api.deepseek.com": "deepseek", "openrouter.ai": "openrouter", "api.x.ai": "xai"}

    def answer(arrival: Any) -> Any:
        type_ = of_host.get(arrival.host)
        return completion(usage=CASES[type_][0]) if type_ else gemini

    async with (
        provider_hosts(tmp_path, monkeypatch) as hosts,
        model_server(lambda body: completion(usage=OPENAI_USAGE)) as openai,
    ):
        hosts.answer = answer
        tables["openai"]["api_base"] = openai.base_url
        async with provider_gateway(tables) as gateway:
            for type_, (_, cost, output) in CASES.items():
                written = 10 if type_ == "openrouter" else None
                await check(gateway, type_, cost, (40, written, 20), output)


ANTHROPIC_USAGE = {"input_tokens": 50, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10}


async def test_anthropics_cached_tokens_stand_beside_its_input(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    cost = cost_entries("anthropic", PRICES)
    async with anthropic_server(usage=ANTHROPIC_USAGE) as server:
        table = {
            "type": "anthropic",
            "model_name": "claude-x",
            "api_base": server.base_url,
            "cost": cost,
        }
        async with provider_gateway({"anthropic": table}) as gateway:
            hand = 50 * 1.0 + 40 * 0.1 + 10 * 1.25 + 30 * 5.0
            await check(gateway, "anthropic", hand, (40, 10, None))


async def test_what_a_server_does_not_tell_is_not_paid_for_and_without_a_price_cached_input_is_input():
    usage = {"prompt_tokens": 100, "completion_tokens": 30}
    plain: Any = {"input": 1.0, "output": 5.0}
    async with model_server(lambda body: completion(usage=usage)) as server:
        table = {"type": "openai", "model_name": "m", "api_base": server.base_url, "api_key_location": "none"}
        tables = {
            "cached": table | {"cost": cost_entries("openai", PRICES)},
            "plain": table | {"cost": cost_entries("openai", plain)},
        }
        async with provider_gateway(tables) as gateway:
            await check(gateway, "cached", 100 + 150, (None, None, None))
            usage = OPENAI_USAGE
            await check(gateway, "plain", 100 + 150, (40, None, 20))
    assert [entry["pointer"] for entry in cost_entries("openai", plain)] == [
        "/usage/prompt_tokens",
        "/usage/completion_tokens",
    ]
