"""What a call costs: by hand, by the price list, and by the user's own list."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from babyai_kit.configuration.models import LANGUAGE_MODEL, OFFLINE_MODEL
from babyai_kit.configuration.prices import FREE, Price, Prices, load_prices, price_source
from babyai_kit.configuration.project import PROJECT_CONFIG
from babyai_kit.errors import ConfigError

LOCALHOST = "http://localhost:11434/v1/"


@pytest.mark.parametrize(
    ("provider", "base_url", "model", "usage", "dollars"),
    [
        # As OpenAI reports it: 1,200 of 2,006 input tokens cached, 640 of 700 output tokens reasoning.
        (
            "openai",
            "https://api.openai.com/v1/",
            "gpt-6-luna",
            {"input_tokens": 2006, "cached_tokens": 1200, "output_tokens": 700},
            (806 * 0.10 + 1200 * 0.01 + 700 * 0.50) / 1e6,
        ),
        # Anthropic counts cached, written and other input apart; all of it is input here.
        (
            "anthropic",
            "",
            "claude-haiku-4-5-20251001",
            {
                "input_tokens": 50 + 1800 + 300,
                "cached_tokens": 1800,
                "cache_written_tokens": 300,
                "output_tokens": 90,
            },
            (50 * 1.00 + 1800 * 0.10 + 300 * 1.25 + 90 * 5.00) / 1e6,
        ),
        # Google's thoughts are billed as output.
        (
            "google_ai_studio_gemini",
            "",
            "gemini-2.5-flash",
            {"input_tokens": 1500, "cached_tokens": 1000, "output_tokens": 25 + 400},
            (500 * 0.30 + 1000 * 0.03 + 425 * 2.50) / 1e6,
        ),
        # No price for cached input: it costs as other input.
        (
            "groq",
            "",
            "llama-3.1-8b-instant",
            {"input_tokens": 1500, "cached_tokens": 1000, "output_tokens": 30},
            (1500 * 0.05 + 30 * 0.08) / 1e6,
        ),
    ],
)
def test_a_recorded_usage_costs_what_the_hand_calculates(provider, base_url, model, usage, dollars):
    price = load_prices(PROJECT_CONFIG).price_of(model, provider=provider, base_url=base_url)
    assert price.cost_usd(**usage) == pytest.approx(dollars, rel=1e-12)


def test_counts_that_cannot_be_are_not_billed_twice_and_unknown_ones_are_unknown():
    price = Price(1.0, 2.0, cached_input=0.1, cache_write=1.25)
    assert price.cost_usd(100, 0, cached_tokens=500, cache_written_tokens=50) == pytest.approx(
        100 * 0.1 / 1e6
    )
    assert math.isnan(price.cost_usd(math.nan, 5))
    assert math.isnan(price.cost_usd(100, 5, cached_tokens=math.nan))
    assert math.isnan(price.cost_usd(100, math.nan))


@pytest.mark.parametrize(
    ("model", "base_url", "price"),
    [
        ("gpt-4o-mini", "", Price(0.15, 0.6, cached_input=0.075)),
        ("gpt-4o-mini", "https://proxy.example.com/v1/", Price(0.15, 0.6, cached_input=0.075)),
        ("gpt-4o-mini", LOCALHOST, Price(0.15, 0.6, cached_input=0.075)),
        ("gpt-6-luna-2026-09-22", "", Price(0.1, 0.5, 0.01, 0.125)),
        ("openai/gpt-4o-mini", "https://openrouter.ai/api/v1/", Price(0.15, 0.6, cached_input=0.075)),
        ("llama-3.1-8b-instant", "https://API.groq.com/openai/v1/", Price(0.05, 0.08)),
        ("llama-3.1-8b-instant", "https://me:secret@api.groq.com:443/openai/v1/", Price(0.05, 0.08)),
        ("meta-llama/llama-3.1-8b-instruct:free", "https://openrouter.ai/api/v1/", Price(0, 0)),
    ],
)
def test_an_openai_compatible_server_is_known_by_its_host(model: str, base_url: str, price: Price):
    assert Prices().price_of(model, base_url=base_url) == price


@pytest.mark.parametrize(
    ("model", "provider", "base_url"),
    [
        ("gpt-99", "", ""),
        ("gpt-6-luna-turbo", "", ""),
        ("gpt-5-nano-of-mine", "", LOCALHOST),
        ("llama3.1:8b", "", LOCALHOST),
        ("meta-llama/Llama-3.1-8B-Instruct", "", "http://10.0.0.5:8000/v1/"),
        ("gpt-oss-20b", "", LOCALHOST),
        ("llama-3.1-8b-instant", "", "https://api.groq.com.example.org/openai/v1/"),
        ("gpt-4o-mini", "", "https://api.groq.com/openai/v1/"),
        ("zai-org/GLM-5.3", "", "https://me--llm.modal.run/v1/"),
        ("claude-haiku-4-5", "", ""),
        ("gpt-4o-mini", "anthropic", ""),
        ("gpt-4o-mini", "vllm", ""),
        ("deepseek-chat", "sglang", ""),
        ("deepseek-chat", "tgi", ""),
        ("meta-llama/Meta-Llama-3.1-70B-Instruct", "hyperbolic", ""),
        ("my-deployment", "azure", ""),
        ("whisper-large-v3", "groq", ""),
        ("ft:gpt-4o-mini-2024-07-18:org::1", "", ""),
        ("", "", ""),
        ("gpt-4o-mini", "a provider that is none", ""),
    ],
)
def test_what_nobody_listed_has_no_price(model: str, provider: str, base_url: str):
    assert Prices().price_of(model, provider=provider, base_url=base_url) is None


def test_models_of_this_machine_are_free_wherever_they_are_served():
    for model in (OFFLINE_MODEL, LANGUAGE_MODEL, f"ft:{OFFLINE_MODEL}:offline:act:1"):
        assert Prices({model: Price(1, 1)}).price_of(model, base_url=LOCALHOST) is FREE


def test_the_users_price_goes_before_the_list(tmp_path: Path):
    entries = {
        "gpt-6-luna": {"input": 7, "output": 8, "cached_input": 0.5, "cache_write": 9},
        "anthropic::claude-haiku-4-5": {"input": 2, "output": 3},
        "llama3.1:8b": {"input": 0.01, "output": 0.02},
        "ft:gpt-4o-mini-2024-07-18": {"input": 0.3, "output": 1.2},
        "gpt-4o-mini-2024-07-18": {"training": 3},
    }
    (tmp_path / "prices.json").write_text(json.dumps(entries))
    prices = load_prices(tmp_path)
    assert prices.price_of("gpt-6-luna") == Price(7, 8, 0.5, 9)
    assert prices.price_of("gpt-6-luna", provider="azure") == Price(7, 8, 0.5, 9)
    assert prices.price_of("claude-haiku-4-5", provider="anthropic") == Price(2, 3)
    assert prices.price_of("claude-haiku-4-5", provider="aws_bedrock") is None
    assert prices.price_of("llama3.1:8b", base_url=LOCALHOST) == Price(0.01, 0.02)
    assert prices.price_of("ft:gpt-4o-mini-2024-07-18:org::1") == Price(0.3, 1.2)
    assert prices.price_of("gpt-4o-mini-2024-07-18") == Price(0.15, 0.6, cached_input=0.075, training=3)
    assert prices.training_price_of("ft:gpt-4o-mini-2024-07-18:org::1") == 3
    assert prices.training_price_of("gpt-6-luna") is None
    assert prices.training_price_of(OFFLINE_MODEL) == 0


@pytest.mark.parametrize("figure", ["-1", "true", '"0.1"', "NaN", "1e999"])
def test_a_price_that_is_none_is_named(tmp_path: Path, figure: str):
    (tmp_path / "prices.json").write_text(f'{{"m": {{"input": 1, "output": 1, "cached_input": {figure}}}}}')
    with pytest.raises(ConfigError, match=r"prices\.json is not a valid price list"):
        load_prices(tmp_path)


def test_the_price_of_a_provider_with_hours_is_the_same_all_day():
    """The list has DeepSeek's rates by the hour; a budget must hold at the dearest."""
    price = Prices().price_of("deepseek-chat", provider="deepseek")
    assert price == Price(0.27, 1.1, cached_input=0.07)


def test_the_price_lists_version_is_told():
    assert price_source() == {"genai-prices": metadata.version("genai-prices")}


def test_a_free_model_does_not_wait_for_the_price_list():
    code = (
        "import sys; from babyai_kit.configuration.prices import load_prices; "
        f"from babyai_kit.configuration.project import PROJECT_CONFIG as c; p = load_prices(c); "
        f"p.price_of({OFFLINE_MODEL!r}); p.price_of('ft:gpt-4o-mini-2024-07-18:o::1'); "
        "print('genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
