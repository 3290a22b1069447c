"""`doctor --ask`: a few short calls to each model, all models at once; what they will cost is said before."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from babyai_kit.cli.finding import NOTE, TROUBLE, Finding
from babyai_kit.cli.metered_gateway import MAX_CALLS, MeteredGateway
from babyai_kit.cli.model_trial import Candidate, Trial, tried
from babyai_kit.cli.text_table import text_table
from babyai_kit.configuration.prices import FREE
from babyai_kit.configuration.project import PROJECT_CONFIG, PROJECT_DATA, PROJECT_ENV, StrPath
from babyai_kit.configuration.served_models import Model
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import CHAT_VARIANT, Config, Variant, load_config
from babyai_kit.errors import ConfigError, InputError, KitError
from babyai_kit.experiment.concurrency import together
from babyai_kit.gateway.connect import connect
from babyai_kit.gateway.embedded import exported
from babyai_kit.hostile_text import one_line
from babyai_kit.runs.plan import Sampling
from babyai_kit.terminal_text import wrapped

PART = "Answers"

PROMPT_TOKENS = 1_000
"""More than the sample prompt has in any tokenizer."""
IMAGE_TOKENS = 9_000
"""More than any provider counts for a small picture; gpt-4o-mini counts 8,500."""

MAX_LABEL = 21
"""Columns of the table's names; longer ones get a line of their own."""

_LEGEND = (
    "answer: in a JSON schema, as arguments of a tool, in JSON mode (json), or as the words ask for it. yes: "
    "accepted; some servers accept what they then ignore. blind: takes images and does not see them. ?: "
    "failed otherwise, as told above. -: not tried. s: median seconds of an answer. $: of all calls."
)


@dataclass(frozen=True)
class Asked:
    """What asking showed."""

    findings: tuple[Finding, ...]
    """What is wrong or worth knowing."""
    table: str = ""
    """A row for each model that answers, and what the calls cost."""


async def ask_models(
    names: Sequence[str] = (),
    *,
    say: Callable[[str], None],
    env_file: StrPath | None = PROJECT_ENV,
    config: StrPath = PROJECT_CONFIG,
    data: StrPath = PROJECT_DATA,
) -> Asked:
    """Ask the models called `names`, by default those of a plan that names none.

    `say` gets the announcement before anything is asked, and what is waited for. Raises nothing that a
    finding can tell; models that are not well configured are left out, as `doctor` says why already.
    """
    try:
        settings = load_settings(env_file)
        loaded = load_config(config, settings)
        settings = loaded.settings
        candidates = _candidates(loaded, names or loaded.default_models)
        if not candidates:
            say("No model can be asked.")
            return Asked(())
        text = announcement(loaded, [candidate.agent.model for candidate in candidates])
        if settings.gateway_url and not settings.model_named:
            text += " One more asks the gateway's model for its name."
        for line in wrapped(text):
            say(line)
        redact = settings.redact
        with _model_named(settings):
            async with connect(env_file=env_file, config=config, data=data, quiet=True) as session:
                candidates = _candidates(session.config, names or session.config.default_models)
                await session.serve([agent for candidate in candidates for agent in candidate.added])
                session.gateway = gateway = MeteredGateway(session.gateway)
                several = len(candidates) > 1
                trials = await together(
                    tried(session, gateway, c, _saying(say, redact, c.name if several else ""))
                    for c in candidates
                )
                loaded = session.config
    except KitError as error:
        return Asked((Finding(TROUBLE, PART, str(error)),))
    return Asked(tuple(_findings(trials, redact)), trial_table(loaded, trials))


def announcement(config: Config, models: Collection[Model]) -> str:
    """What will be asked, and what it costs at most."""
    count = "1 model" if len(models) == 1 else f"{len(models)} models"
    calls = f"Asking {count}: at most {MAX_CALLS} short calls{'' if len(models) == 1 else ' each'}"
    costs = {model.name: _max_cost_usd(config, model) for model in models}
    if not any(costs.values()):  # NaN is true
        return f"{calls}, which cost nothing."
    known = {name: cost for name, cost in costs.items() if cost > 0}
    unknown = [one_line(name) for name, cost in costs.items() if math.isnan(cost)]
    text = f"{calls}. They cost money"
    if known:
        each = ", ".join(f"{one_line(name)} ${cost:.4f}" for name, cost in known.items())
        text += f": at most ${sum(known.values()):.4f}" + (f" ({each})" if len(known) > 1 else "")
    if unknown:
        text += f"; no price is known of {', '.join(unknown)}"
    return f"{text}."


def _max_cost_usd(config: Config, model: Model) -> float:
    price = config.price_of(model)
    if price is None:
        return math.nan
    prompts, answers = MAX_CALLS * PROMPT_TOKENS + IMAGE_TOKENS, MAX_CALLS * Sampling().max_tokens
    return 0.0 if price is FREE else price.cost_usd(prompts, answers)


def _candidates(config: Config, names: Sequence[str]) -> list[Candidate]:
    """The models, each asked with the first prompt that it can have."""
    chat = Variant(CHAT_VARIANT, config.settings.model, "", {}, chats=True)
    config = config.with_agents([chat])
    variant = next((v.name for v in config.variants.values() if not v.own and not v.chats), None)
    own = {v.model: v.name for v in config.variants.values() if v.own}
    models = []
    for name in dict.fromkeys(names):
        with contextlib.suppress(InputError):
            models += [] if config.model(name).missing else [name]
    plain = [name for name in models if name not in own]
    if plain and variant is None:
        raise ConfigError(f"{config.path} has no variant without a model of its own; restore config/")
    agents = config.agents([variant], plain) if plain and variant else []
    chats = config.agents([CHAT_VARIANT], plain)
    for name in models:
        if name in own:
            agents += config.agents([own[name]], [])
            chats += config.agents([CHAT_VARIANT], [name])
    return [Candidate(agent, chat) for agent, chat in zip(agents, chats, strict=True)]


def _saying(say: Callable[[str], None], redact: Callable[[str], str], model: str) -> Callable[[str], None]:
    return lambda line: say(redact(f"{model}: {line}" if model else line))


@contextlib.contextmanager
def _model_named(settings: Settings) -> Iterator[None]:
    """Spares the call by which `connect` learns what the model of an embedded gateway calls itself."""
    named = settings.model_named or bool(settings.gateway_url)
    with exported({} if named else {"AGENT_MODEL": settings.model}):
        yield


def _findings(trials: Collection[Trial], redact: Callable[[str], str]) -> Iterator[Finding]:
    for trial in trials:
        if trial.error:
            yield Finding(TROUBLE, PART, f"{trial.model}: {redact(trial.error)}")
        yield from (Finding(NOTE, PART, f"{trial.model}: {redact(note)}") for note in trial.notes)


def trial_table(config: Config, trials: Sequence[Trial]) -> str:
    """A row for each model that answers, and the sum of the calls; empty if there were no calls."""
    costs = {
        trial.model: trial.meter.cost_usd(config.price_of(config.model(trial.model))) for trial in trials
    }
    head = ["model", "answer", "seed", "temp", "effort", "image", "s", "calls", "$"]
    rows = [_row(trial, costs[trial.model]) for trial in trials if not trial.error]
    lines = [text_table(head, rows, max_label=MAX_LABEL), *wrapped(_LEGEND)] if rows else []
    return "\n".join([*lines, *wrapped(_total(trials, costs))])


def _row(trial: Trial, cost_usd: float) -> list[str]:
    return [
        one_line(trial.model),
        trial.form if trial.valid else "invalid",
        *(trial.takes[parameter] for parameter in ("seed", "temperature", "reasoning_effort")),
        trial.images,
        _number(trial.meter.latency_s, 1),
        str(trial.meter.calls),
        _number(cost_usd, 4),
    ]


def _number(value: float, digits: int) -> str:
    """`value` with so many decimals; ? if it is not known."""
    if math.isnan(value):
        return "?"
    return f"<{10**-digits:.{digits}f}" if 0 < value < 10**-digits else f"{value:.{digits}f}"


def _total(trials: Sequence[Trial], costs: Mapping[str, float]) -> str:
    calls = sum(trial.meter.calls for trial in trials)
    known = sum(cost for cost in costs.values() if not math.isnan(cost))
    unknown = [one_line(name) for name, cost in costs.items() if math.isnan(cost)]
    text = f"{calls} call{'' if calls == 1 else 's'}"
    if known or not unknown:
        text += " for less than $0.0001" if 0 < known < 1e-4 else f" for ${known:.4f}"
    return f"{text}; what those of {', '.join(unknown)} cost is not known." if unknown else f"{text}."
