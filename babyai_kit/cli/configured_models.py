"""The models besides that of the settings, as `doctor` sees them: their keys, prices and last days.

Nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from babyai_kit.cli.finding import NOTE, OK, TROUBLE, Finding
from babyai_kit.configuration import retirements
from babyai_kit.configuration.providers import PROVIDERS
from babyai_kit.configuration.served_models import Model, needs
from babyai_kit.configuration.urls import url_secrets
from babyai_kit.configuration.variants import Config
from babyai_kit.errors import InputError

PART = "Model"


def configured_models(config: Config, today: date | None = None) -> Iterator[Finding]:
    """One finding for each model of AGENT_MODELS, config/models.toml and the variants that have their own.

    A key that is not set is trouble for a model of AGENT_MODELS, which every run without `--models` uses.
    `today`: by this machine's clock unless given.
    """
    own = [variant.model for variant in config.variants.values() if variant.own]
    for name in dict.fromkeys([*config.default_models, *config.own_models, *own]):
        if name == config.settings.model:
            continue
        try:
            model = config.model(name)
        except InputError as error:
            yield Finding(TROUBLE, PART, str(error))
            continue
        if model.missing:
            yield Finding(TROUBLE if name in config.default_models else NOTE, PART, needs(model))
            continue
        yield _usable(config, model, today or date.today())


def _usable(config: Config, model: Model, today: date) -> Finding:
    if model.on_this_machine:
        return Finding(OK, PART, f"{model.name}, on this machine")
    known = PROVIDERS.get(model.provider)
    where = config.settings.redact(model.base_url) or (known.name if known else model.provider)
    for secret in url_secrets(model.base_url):
        where = where.replace(secret, "***")
    text = f"{model.name} at {where}"
    price = config.price_of(model)
    if price is None:
        text += "; no price is known, so cost is NaN: add one to config/prices.json"
    else:
        text += f", ${price.input:g} and ${price.output:g} per million tokens of input and output"
    going = retirements.warning(
        model.served_name,
        today,
        provider=model.provider,
        base_url=model.base_url,
        remedy="name another model",
    )
    if going:
        text += f"; {going}"
    return Finding(OK if price and not going else NOTE, PART, text)
