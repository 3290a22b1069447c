"""What models cost: `config/prices.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from babyai_kit.configuration.models import base_model, is_free
from babyai_kit.configuration.project import StrPath
from babyai_kit.errors import ConfigError
from babyai_kit.hostile_text import parse_json


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float
    training: float | None = None
    """Of a token seen once in fine-tuning; None where the model cannot be fine-tuned or nobody said."""

    def cost_usd(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars for so many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


FREE = Price(0.0, 0.0, 0.0)
"""Of models that are served on this machine."""


@dataclass(frozen=True)
class Prices:
    """Prices by model name; `ft:BASE` stands for every model fine-tuned from BASE."""

    listed: Mapping[str, Price] = field(default_factory=dict)

    def price_of(self, model: str) -> Price | None:
        """The price of `model`: FREE for those of this machine, None where the list has none."""
        if is_free(model):
            return FREE
        if model in self.listed or not model.startswith("ft:"):
            return self.listed.get(model)
        return self.listed.get(f"ft:{base_model(model)}")

    def training_price_of(self, model: str) -> float | None:
        """US dollars per million tokens of fine-tuning the base of `model`; None where nobody said."""
        price = self.price_of(base_model(model))
        return price.training if price else None


def load_prices(config: StrPath) -> Prices:
    """Read `config`/prices.json. Raises ConfigError if it is missing or not valid."""
    file = Path(config) / "prices.json"
    try:
        listed = parse_json(file.read_text(encoding="utf-8"))
        return Prices({name: _price(name, price) for name, price in listed.items()})
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}); restore it") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is not a valid price list ({error}); fix or restore it") from None


def _price(name: str, fields: Mapping[str, float]) -> Price:
    """Raises TypeError for fields that a price does not have, ValueError for a figure that is none."""
    for field_name, value in fields.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f"{field_name} of {name} is not a number of dollars")
    return Price(**fields)
