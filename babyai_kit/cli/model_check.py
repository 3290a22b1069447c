"""One configured model as `doctor` sees it without a call: its key, its servers, its price, its last day."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from babyai_kit.cli.finding import NOTE, OK, TROUBLE, Finding
from babyai_kit.cli.local_models import server_folder, why_it_cannot_play
from babyai_kit.cli.model_list import ModelList, ModelServer
from babyai_kit.cli.model_places import PARTIAL_LISTS, Place
from babyai_kit.configuration import retirements
from babyai_kit.configuration.models import is_offline_player
from babyai_kit.configuration.served_models import FLAG, Model, named_in, needs
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config
from babyai_kit.hostile_text import one_line

PART = "Model"

MAX_NAME = 80
"""Characters shown of a model's name."""
MAX_NAMES = 5
"""Names of a list that are shown."""
MAX_COMPARED = 2000
"""Names of a list that may have been meant; the longest known one has some hundred."""

_DATED = re.compile(r"-(\d{8}|\d{4}-\d\d-\d\d)$")

_WITHOUT_MODEL = (
    "offline player, which is NO language model; set OPENAI_API_KEY or OPENAI_BASE_URL to use one"
)
_NO_PRICE = "no price is known, so cost is NaN: add one to config/prices.json"


@dataclass(frozen=True)
class CheckedModel:
    """A model that is configured, and what is known of it."""

    finding: Finding
    model: Model | None = None
    """None where its name can be none."""
    last_day: date | None = None
    """From which it is not served."""


def checked(
    config: Config,
    model: Model,
    places: Sequence[Place],
    lists: Mapping[ModelServer, ModelList],
    *,
    wanted: bool,
    today: date,
) -> CheckedModel:
    """What to say of `model`.

    `lists`: what the servers of its `places` said. `wanted`: a plan would use it, so that what is wrong with
    it is trouble, else a note. `today`: from which days are counted.
    """
    settings = config.settings
    if model.on_this_machine:
        if trouble := why_it_cannot_play(model.name, server_folder()):
            return CheckedModel(Finding(TROUBLE if wanted else NOTE, PART, trouble), model)
        player = is_offline_player(model.name)
        text = _WITHOUT_MODEL if model.name == settings.model and player else f"{model.name}, on this machine"
        return CheckedModel(Finding(NOTE if player else OK, PART, text), model)
    days = [day for place in places if (day := _last_day(place, lists)) is not None]
    last_day = min(days, default=None)
    seller = _seller(model, places, settings)
    place = named_in(model.name, settings)
    going = retirements.warning(model.served_name, today, listed=last_day, named_in=place, **seller) or ""
    last_day = retirements.shutdown_of(model.served_name, last_day, **seller)
    grade = TROUBLE if wanted else NOTE
    notes = [] if config.price_of(model) else [_NO_PRICE]
    if model.missing:
        finding = Finding(grade, PART, needs(model))
        return CheckedModel(finding, model, last_day)
    troubles = [text for place in places if (text := _trouble(config, model, place, lists))]
    if troubles:
        # The gateway falls back to the next provider.
        grade = grade if len(troubles) == len(places) else NOTE
        text = "; ".join(troubles) + (f" ({going})" if going else "")
        finding = Finding(grade, PART, f"{model.name}: {settings.redact(text)}")
        return CheckedModel(finding, model, last_day)
    where = " and ".join(place.shown for place in places) or "the gateway, as configured there"
    notes = [*_doubts(places, lists), *notes, *([going] if going else [])]
    text = "; ".join([f"{model.name} at {settings.redact(where)}{_seen(places, lists)}", *notes])
    return CheckedModel(Finding(NOTE if notes else OK, PART, text), model, last_day)


def _trouble(config: Config, model: Model, place: Place, lists: Mapping[ModelServer, ModelList]) -> str:
    """What is wrong at one place, and the remedy; empty if nothing is."""
    if place.server is None:
        return ""
    found, own = lists[place.server], model.name in config.own_models
    if found.failure:
        return f"{place.shown} does not answer: {found.failure}"
    if found.key_refused:
        return f"{place.shown} refuses the key ({found.status}); {place.server.remedies.key}"
    if found.better_url:
        setting = "let api_base in config/models.toml be " if own else "set OPENAI_BASE_URL="
        return f"{place.shown} does not list models, but {found.better_url} does; {setting}{found.better_url}"
    if not found.models or place.provider in PARTIAL_LISTS or _listed(place, found.models):
        return ""
    names, meant = _choices(place.served_name, found.models)
    prefix = model.name.partition("::")[0] + "::" if "::" in model.name and not own else ""
    names = [prefix + name for name in names]
    setting = named_in(model.name, config.settings)
    remedy = "let --models name" if setting == FLAG else f"set {setting} to"
    remedy = "let config/models.toml name" if own else remedy
    if meant:
        remedy = f"did you mean {meant}? {remedy[0].upper()}{remedy[1:]}"
    more = ", ..." if len(found.models) > MAX_NAMES else ""
    return f"{place.shown} does not list {place.served_name}; {remedy} one of {', '.join(names)}{more}"


def _doubts(places: Sequence[Place], lists: Mapping[ModelServer, ModelList]) -> Iterable[str]:
    """What is not known of servers that answer."""
    for place in places:
        if place.server is None:
            continue
        found = lists[place.server]
        if not found.models:
            answer = "answers" if found.status == 200 else f"answers with status {found.status}"
            yield (
                f"it {answer} and lists no models; the first call will show whether it has "
                f"{place.served_name}"
            )
        elif not _listed(place, found.models):
            yield (
                f"it does not list {place.served_name}, as it does not list all that it serves; the first "
                "call will show whether it has it"
            )


def _seen(places: Sequence[Place], lists: Mapping[ModelServer, ModelList]) -> str:
    """Whether the servers list the model."""
    if places and all(p.server and _listed(p, lists[p.server].models) for p in places):
        return ", which lists it" if len(places) == 1 else ", which list it"
    if any(place.server is None for place in places):
        return ", where only a call shows whether it answers"
    return ""


def _choices(name: str, listed: Iterable[str]) -> tuple[list[str], str]:
    """Some names of a list, the one that was probably meant first; and that one."""
    shown = [one_line(other, MAX_NAME) for other in sorted(listed)[:MAX_COMPARED]]
    close = difflib.get_close_matches(name.lower(), [other.lower() for other in shown], n=1)
    meant = next((other for other in shown if close and other.lower() == close[0]), "")
    return ([meant] if meant else []) + [o for o in shown if o != meant][: MAX_NAMES - bool(meant)], meant


def _listed(place: Place, listed: Mapping[str, date | None]) -> str:
    """The name under which the place lists its model; empty if it does not.

    Servers take several spellings for a model: Ollama's tag and Google's folder may be left out, OpenRouter's
    routes stand after a colon, and Anthropic's aliases are names without their date.
    """
    wanted = _canonical(place.served_name)
    spellings = {_canonical(name): name for name in listed}
    if place.provider == "openrouter":
        spellings = {wanted: wanted.partition(":")[0]} if wanted.partition(":")[0] in listed else spellings
    if place.provider == "anthropic":
        wanted = wanted.removesuffix("-latest")
        spellings = {_DATED.sub("", name): name for name in listed} | spellings
    return spellings.get(wanted, "")


def _canonical(name: str) -> str:
    """One spelling for the names that servers take for the same model."""
    return name.removeprefix("models/").removesuffix(":latest")


def _last_day(place: Place, lists: Mapping[ModelServer, ModelList]) -> date | None:
    """The day that a server dates its model with."""
    models = lists[place.server].models if place.server else {}
    return models.get(_listed(place, models))


def _seller(model: Model, places: Sequence[Place], settings: Settings) -> dict[str, str]:
    """Who serves it, as for `Prices.price_of`."""
    server = places[0].server if places else None
    address = server.base_url if server and model.asked_as == "openai" else ""
    at_gateway = "" if model.definition else settings.gateway_url
    return {"provider": model.provider, "base_url": model.base_url or address or at_gateway}
