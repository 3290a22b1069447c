"""What models cost: the user's `config/prices.json`, and for the others the price list of `price_table`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from babyai_kit.configuration import price_table
from babyai_kit.configuration.models import base_model, is_free
from babyai_kit.configuration.project import StrPath
from babyai_kit.errors import ConfigError
from babyai_kit.hostile_text import parse_json


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens.

    Of prompts short enough for a provider's lowest tier, as all of the kit's are: they have fewer than 10,000
    tokens, and tiers begin at 32,000 or more.
    """

    input: float
    output: float
    """Of what the model wrote, its reasoning included."""
    cached_input: float | None = None
    """Of input that the provider had in its cache; None: as other input."""
    cache_write: float | None = None
    """Of input that the provider writes to its cache; None: as other input."""
    training: float | None = None
    """Of a token seen once in fine-tuning; None where the model cannot be fine-tuned or nobody said."""

    def cost_usd(
        self,
        input_tokens: float,
        output_tokens: float,
        cached_tokens: float = 0,
        cache_written_tokens: float = 0,
    ) -> float:
        """US dollars for so many tokens; NaN if any number is.

        `input_tokens` includes the cached and the written ones, `output_tokens` those of reasoning. More
        cached and written ones than there is input count as all of it.
        """
        cached = min(cached_tokens, input_tokens)
        written = min(cache_written_tokens, input_tokens - cached)
        return (
            (input_tokens - cached - written) * self.input
            + cached * _or(self.cached_input, self.input)
            + written * _or(self.cache_write, self.input)
            + output_tokens * self.output
        ) / 1e6


def _or(price: float | None, other: float) -> float:
    return other if price is None else price


FREE = Price(0.0, 0.0, training=0.0)
"""Of models that are served on this machine."""


@dataclass(frozen=True)
class Prices:
    """The user's prices, which go before those of the price list."""

    listed: Mapping[str, Price] = field(default_factory=dict)
    """By a model's name, or by `provider::model`; `ft:BASE` stands for every model fine-tuned from BASE."""
    training: Mapping[str, float] = field(default_factory=dict)
    """Of models whose other prices are those of the price list: US dollars per million tokens."""

    def price_of(self, model: str, *, provider: str = "", base_url: str = "") -> Price | None:
        """The price of `model`, which is the name that its provider knows; None where nobody said.

        `provider`: the gateway's provider type; "" is `openai`. `base_url`: where an OpenAI-compatible server
        is; "" is the provider's own address. FREE for models of this machine. At a host that the price list
        does not know, only exact names of OpenAI's models have a listed price, since a proxy passes OpenAI's
        bill on; an open model served by oneself has none. A fine-tuned model has no price but the user's.
        """
        if is_free(model):
            return FREE
        names = [model]
        if model.startswith("ft:"):
            names.append(f"ft:{base_model(model)}")
        for name in names:
            for key in (f"{provider or 'openai'}::{name}", name):
                if key in self.listed:
                    return self.listed[key]
        if model.startswith("ft:"):
            return None
        price = price_table.listed_price(model, provider, base_url)
        return Price(*price, training=self.training.get(model)) if price else None

    def training_price_of(self, model: str) -> float | None:
        """US dollars per million tokens of fine-tuning the base of `model`; None where nobody said."""
        base = base_model(model)
        if base in self.training:
            return self.training[base]
        price = FREE if is_free(base) else self.listed.get(base)
        return price.training if price else None


def load_prices(config: StrPath) -> Prices:
    """Read `config`/prices.json. Raises ConfigError if it is missing or not valid."""
    file = Path(config) / "prices.json"
    try:
        entries = parse_json(file.read_text(encoding="utf-8"))
        for name, figures in entries.items():
            _check(name, figures)
        training = {name: f["training"] for name, f in entries.items() if f.keys() == {"training"}}
        listed = {name: Price(**f) for name, f in entries.items() if name not in training}
        return Prices(listed, training)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}); restore it") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is not a valid price list ({error}); fix or restore it") from None


def price_source() -> dict[str, str]:
    """The price list that is in use: its package and its version."""
    return {price_table.PACKAGE: price_table.version()}


def _check(name: str, figures: Mapping[str, float]) -> None:
    """Raises ValueError for a figure that is none."""
    for field_name, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f"{field_name} of {name} is not a number of dollars")
