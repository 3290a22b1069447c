"""What providers report of cached tokens and of reasoning, in the shapes that were recorded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from babyai_kit.gateway.usage import details_of, usage_details

OPENAI = {
    "prompt_tokens": 100,
    "completion_tokens": 30,
    "total_tokens": 130,
    "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
RECORDED = {
    "openai": ("openai", OPENAI, (40, None, 20)),
    "azure": ("azure", OPENAI, (40, None, 20)),
    "groq": ("groq", OPENAI, (40, None, 20)),
    "xai": ("xai", OPENAI, (40, None, 20)),
    "openrouter": (
        "openrouter",
        OPENAI | {"prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10}, "cost": 0.0001},
        (40, 10, 20),
    ),
    "no details": ("openai", {"prompt_tokens": 100, "completion_tokens": 30}, (None, None, None)),
    "null": (
        "vllm",
        {"prompt_tokens": 100, "prompt_tokens_details": None, "completion_tokens_details": {}},
        (None, None, None),
    ),
    "nothing cached": ("openai", {"prompt_tokens_details": {"cached_tokens": 0}}, (0, None, None)),
    "kimi": ("openai", {"prompt_tokens": 100, "cached_tokens": 64}, (64, None, None)),
    "anthropic": (
        "anthropic",
        {
            "input_tokens": 50,
            "output_tokens": 30,
            "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 10,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0},
            "service_tier": "standard",
        },
        (40, 10, None),
    ),
    "bedrock": (
        "aws_bedrock",
        {"inputTokens": 50, "outputTokens": 30, "cacheReadInputTokens": 40, "cacheWriteInputTokens": 10},
        (40, 10, None),
    ),
    "gemini": (
        "google_ai_studio_gemini",
        {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 40,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 20,
        },
        (40, None, 20),
    ),
    # Its misses are plain input, which the gateway calls written.
    "deepseek": (
        "deepseek",
        {"prompt_tokens": 100, "prompt_cache_hit_tokens": 80, "prompt_cache_miss_tokens": 20},
        (80, None, None),
    ),
    "text": ("openai", {"prompt_tokens_details": {"cached_tokens": "many"}}, (None, None, None)),
    "list": ("openai", ["prompt_tokens"], (None, None, None)),
    "none": ("anthropic", None, (None, None, None)),
}


@pytest.mark.parametrize(("provider_type", "usage", "details"), RECORDED.values(), ids=RECORDED)
def test_what_is_reported_is_read_and_the_rest_is_not_made_up(provider_type, usage, details):
    assert usage_details(usage, provider_type) == details


def test_the_responses_api_has_a_form_of_its_own():
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 40},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 20},
    }
    assert usage_details(usage, "openai", api_type="responses") == (40, None, 20)


def test_the_usage_of_several_models_is_added_up():
    def entry(provider_type: str, data: object) -> SimpleNamespace:
        return SimpleNamespace(provider_type=provider_type, api_type="chat_completions", data=data)

    entries = [entry("openai", OPENAI), entry("anthropic", {"cache_read_input_tokens": 2})]
    assert details_of(entries) == (42, None, 20)
    assert details_of([]) == details_of(None) == (None, None, None)
