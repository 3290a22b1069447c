"""The models that `doctor` looks at: all that are configured, their servers asked at the same time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection, Iterator, Sequence
from datetime import date

from babyai_kit.cli.finding import NOTE, TROUBLE, Finding
from babyai_kit.cli.model_check import PART, CheckedModel, checked
from babyai_kit.cli.model_list import list_models
from babyai_kit.cli.model_places import Place, configured_model, places_of
from babyai_kit.cli.text_table import text_table
from babyai_kit.configuration.answer_forms import answer_forms
from babyai_kit.configuration.models import DEFAULT_MODEL
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.served_models import Model
from babyai_kit.configuration.variants import Config
from babyai_kit.errors import InputError
from babyai_kit.hostile_text import one_line
from babyai_kit.runs.commands import command_line
from babyai_kit.terminal_text import wrapped

TIMEOUT_S = 10.0
"""For the list of one server."""

MAX_LABEL = 28
"""Columns of the table's names; longer ones get a line of their own."""

_LEGEND = (
    "$: dollars per million tokens of input and output. Answers: in a JSON schema, as arguments of a tool, "
    "or in JSON mode (json). Which of these it can, whether it takes a seed, a temperature and a reasoning "
    "effort, and whether it sees images, is known by asking, with short calls that cost money:"
)


async def configured_models(
    config: Config,
    names: Sequence[str] = (),
    *,
    timeout_s: float = TIMEOUT_S,
    today: date | None = None,
) -> list[CheckedModel]:
    """One for each of `names`, by default for each model that is configured; no call is paid for.

    What is wrong with one of `names`, or of the models that a plan without names has, is trouble; with any
    other, a note. `timeout_s`: for each server's list. `today`: by this machine's clock unless given.
    """
    today = today or date.today()
    wanted = names or config.default_models
    found = {name: _found(config, name) for name in dict.fromkeys(names or _configured(config))}
    places: dict[str, tuple[Place, ...]] = {
        name: () if isinstance(model, InputError) or model.missing else places_of(model, config.settings)
        for name, model in found.items()
    }
    servers = list(dict.fromkeys(p.server for of_model in places.values() for p in of_model if p.server))
    answers = await asyncio.gather(*(list_models(server, timeout_s) for server in servers))
    lists = dict(zip(servers, answers, strict=True))
    seen = []
    for name, model in found.items():
        grade = TROUBLE if name in wanted else NOTE
        if isinstance(model, InputError):
            seen.append(CheckedModel(Finding(grade, PART, config.settings.redact(str(model)))))
        else:
            seen.append(checked(config, model, places[name], lists, wanted=name in wanted, today=today))
    return list(_said_once(seen))


def _found(config: Config, name: str) -> Model | InputError:
    try:
        return configured_model(config, name)
    except InputError as error:
        return error


def _configured(config: Config) -> Iterator[str]:
    """The models of a plan that names none, that of AGENT_MODEL, and those that config/ defines."""
    settings = config.settings
    yield from config.default_models
    # With a list of models and without a name, the settings' is only what the list leaves to be guessed.
    if not settings.offline and settings.model != DEFAULT_MODEL:
        yield settings.model
    yield from config.own_models
    yield from (variant.model for variant in config.variants.values() if variant.own)


def _said_once(models: Collection[CheckedModel]) -> Iterator[CheckedModel]:
    """A server that is away has one long reason for all of its models."""
    first: dict[str, str] = {}
    for checked_model in models:
        model, finding = checked_model.model, checked_model.finding
        if model is not None and finding.text.startswith(f"{model.name}: "):
            reason = finding.text[len(model.name) + 2 :]
            before = first.setdefault(reason, model.name)
            if before != model.name:
                finding = dataclasses.replace(finding, text=f"{model.name}: as for {before}")
        yield dataclasses.replace(checked_model, finding=finding)


def model_table(config: Config, models: Collection[CheckedModel]) -> str:
    """What is known of models that are not of this machine; empty without any."""
    rows = [_row(config, c.model, c.last_day) for c in models if c.model and not c.model.on_this_machine]
    if not rows:
        return ""
    head = ["model", "$ in", "$ out", "last day", "may answer in", "seed"]
    return "\n".join(
        [text_table(head, rows, max_label=MAX_LABEL), *wrapped(_LEGEND), command_line("doctor", "--ask")]
    )


def _row(config: Config, model: Model, last_day: date | None) -> list[str]:
    price, known = config.price_of(model), PROVIDERS.get(model.asked_as)
    dollars = ["?", "?"] if price is None else [f"{price.input:g}", f"{price.output:g}"]
    forms = [form for form in answer_forms(model.asked_as) if form != "words"]
    return [
        one_line(model.name),
        *dollars,
        str(last_day or "-"),
        ", ".join(forms) or "words",
        "ask" if known is None or known.takes_seed else "no",
    ]
