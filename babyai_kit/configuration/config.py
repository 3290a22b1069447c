"""The function `act` as configured: its variants, the models that play them, and the digest of each prompt.

What is here comes from no file by itself; `variants` reads the files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, meta

from babyai_kit.configuration.dialects import FORMATS, Dialect, strict_schema
from babyai_kit.configuration.prices import Price, Prices
from babyai_kit.configuration.served_models import (
    Model,
    check_apart,
    gateway_name,
    resolve,
    served_as,
)
from babyai_kit.configuration.settings import Settings
from babyai_kit.errors import InputError, unknown

FUNCTION, CHAT_FUNCTION = "act", "chat"
"""Of a call with template arguments, and of one with messages."""
CHAT_VARIANT = "messages"
"""The variant of the latter in `config/`, of agents that have none of their own."""
AGENTS_FILE = "agents.toml"
"""In `config/`, written for the gateway image (see `agents_toml`); nothing in it is the user's."""
FINETUNED_FOLDER = "finetuned"
"""In `config/`, with a file for each registered variant."""

_STEPS_AS_TURNS = re.compile(r"\{#[-+]?\s*steps as turns\s*[-+]?#\}")


@dataclass(frozen=True)
class Variant:
    """One way of prompting: its model and a digest of everything that shapes its prompt and answer."""

    name: str
    model: str
    """That of the settings, or its own if the configuration gives it one."""
    digest: str
    """12 hex digits of SHA-256 over the variant's settings, templates and the function's schemas."""
    templates: dict[str, str]
    """Template source by role (`system`, `user`)."""
    own: Model | None = None
    """The model that the configuration gives it; None: those of the plan."""
    chats: bool = False
    """An agent of Python code, which asks with messages; not of `config/`."""
    history: bool = False
    """Of such an agent: whether the history length is one of its settings."""
    needs: tuple[str, ...] = ()
    """Of such an agent: what it needs of a model, such as `images`."""
    asks: Mapping[str, float] | None = None
    """Of such an agent: the variants of `config/` that it asks, each with its calls a step on average, and
    with no messages of its own; empty: it asks nothing. None: it asks with messages."""

    @property
    def asks_reasoning(self) -> bool:
        """True if the prompt asks for `thinking` beside the action, or may do so."""
        return self.chats or "thinking" in self.templates.get("system", "")

    @property
    def dialogue(self) -> bool:
        """True if each step is a message of its own, with the answers between (see `agents.step_prompt`).

        The user template says so by the comment `steps as turns`: the gateway ignores it, and a fine-tuned
        variant of another name has it, too.
        """
        return bool(_STEPS_AS_TURNS.search(self.templates.get("user", "")))

    @property
    def shows_history(self) -> bool:
        """True if the prompt shows earlier steps, or it is not known here whether it does."""
        if self.chats:
            return self.history
        if self.dialogue or "user" not in self.templates:
            return True
        return any(map(_uses_history, self.templates.values()))

    @property
    def digests(self) -> frozenset[str]:
        """The digests that episodes under this prompt can have, whichever form of answer was asked for."""
        if self.chats and not self.asks:
            return frozenset([self.digest])
        return frozenset(_asked_in(self.digest, Dialect(form)) for form in FORMATS)


@dataclass(frozen=True)
class Agent:
    """A variant played by a model: what a plan crosses with tasks and seeds."""

    variant: Variant
    model: Model
    served_as: str
    """The gateway's variant of `act`."""

    @property
    def pair(self) -> tuple[str, str]:
        """Names of variant and model."""
        return self.variant.name, self.model.name

    @property
    def added(self) -> bool:
        """True if the kit defines it at a gateway; `config/` defines the others."""
        return self.variant.chats or self.served_as != self.variant.name


@dataclass(frozen=True)
class Config:
    """The function `act` as configured on disk, for the models of the settings."""

    path: Path
    settings: Settings
    """With the variables that the models name."""
    variants: dict[str, Variant]
    prices: Prices = field(default_factory=Prices)
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema of the answers that count as valid."""
    own_models: Mapping[str, Model] = field(default_factory=dict)
    """Those of config/models.toml, by name."""
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    """How models, by name, are asked; the others in JSON mode."""

    @property
    def default_models(self) -> tuple[str, ...]:
        """The models of a plan that names none."""
        return self.settings.models or (self.settings.model,)

    @property
    def first_model(self) -> str:
        """The one of them that plays where one is needed, such as to learn."""
        names = self.default_models
        return self.settings.model if self.settings.model in names else names[0]

    def model(self, name: str) -> Model:
        """The model called `name`. Raises InputError for a name that can be none."""
        for variant in self.variants.values():
            if variant.own and variant.model == name:
                return variant.own
        return resolve(name, self.own_models, self.settings)

    def agents(self, variants: Iterable[str], models: Sequence[str]) -> list[Agent]:
        """Each of `variants` with each of `models`, or with the model of its own.

        The model of the settings alone is what `config/` calls its own; of several, the gateway's variants
        name each. Raises InputError for a name that can be no model.
        """
        found = [self.model(name) for name in models]
        check_apart(found)
        alone = len(found) == 1 and self._is_agent(found[0])
        agents = []
        for variant in map(self._known, variants):
            name = gateway_name(variant.name)
            if variant.chats and self.settings.gateway_url:
                # A gateway that somebody else started cannot know every agent.
                name = CHAT_VARIANT
            if variant.own:
                agents.append(Agent(variant, variant.own, name if variant.chats else variant.name))
                continue
            agents += [
                Agent(variant, model, name if alone else served_as(name, model.name)) for model in found
            ]
        return agents

    def _is_agent(self, model: Model) -> bool:
        """True if `model` is what `config/` calls its own: that of the settings, at their server."""
        return model.name == self.settings.model and not model.definition

    def served_by_default(self) -> list[Agent]:
        """The agents of a plan that names no models, without those whose provider's key is not set, and
        without names that can be no model: a plan that needs them says so."""
        names = []
        for name in self.settings.models:
            with contextlib.suppress(InputError):
                self.model(name)
                names.append(name)
        agents = self.agents(self.variants, names) if names else []
        return [agent for agent in agents if agent.added and not agent.model.missing]

    def price_of(self, model: Model) -> Price | None:
        """US dollars per token; None where nobody said."""
        return self.prices.price_of(model.served_name, provider=model.provider, base_url=model.base_url)

    def strict_schema(self, variant: str) -> dict[str, Any]:
        """The JSON schema that an answer to `variant` is held to, where a server can do that."""
        return strict_schema(self.output_schema, reasoning=self.variants[variant].asks_reasoning)

    def digest(self, variant: str, model: str) -> str:
        """Of the present prompt of `variant`, asked in the dialect of `model`."""
        if self.variants[variant].chats and not self.variants[variant].asks:
            return self.variants[variant].digest
        return _asked_in(self.variants[variant].digest, self.dialects.get(model, Dialect()))

    def with_agents(self, agents: Iterable[Variant]) -> Config:
        """The same with agents of Python code beside the variants of `config/`, whose names they cannot have.

        Raises InputError for a name that is taken, or if one asks a variant that there is not.
        """
        added = {agent.name: self._asking(agent) for agent in agents}
        if taken := sorted(set(added) & set(self.variants)):
            raise InputError(f"{taken[0]!r} is a variant of config/ already; give the agent another name")
        return dataclasses.replace(self, variants={**self.variants, **added})

    def _asking(self, agent: Variant) -> Variant:
        """`agent` with what follows from the variants that it asks: digest, history, a model of their own."""
        asked = [self._known(name) for name in agent.asks or ()]
        if not asked:
            return agent
        if len({variant.own and variant.model for variant in asked}) > 1:
            raise InputError(
                f"the agent {agent.name} asks variants of several models ({', '.join(agent.asks or ())}); "
                "let it ask those of one"
            )
        digests = " ".join([agent.digest, *(variant.digest for variant in asked)])
        return dataclasses.replace(
            agent,
            model=asked[0].model,
            own=asked[0].own,
            digest=hashlib.sha256(digests.encode()).hexdigest()[:12],
            history=agent.history or any(variant.shows_history for variant in asked),
        )

    def _known(self, name: str) -> Variant:
        if name not in self.variants:
            raise InputError(unknown("variant", name, self.variants))
        return self.variants[name]

    def asked_by(self, agent: Agent) -> list[Agent]:
        """Whom the gateway is asked for when `agent` plays: the variants that it asks, else itself."""
        if agent.variant.asks is None:
            return [agent]
        return self.agents(agent.variant.asks, [agent.model.name])

    def asked_in(self, dialects: Mapping[str, Dialect]) -> Config:
        """The same, with the digests that variants have when models, by name, are asked in `dialects`."""
        return dataclasses.replace(self, dialects=dialects)


def _asked_in(digest: str, dialect: Dialect) -> str:
    """The digest of a variant under `dialect`: what a model is held to shapes its answers as a prompt does.

    JSON mode, which config/ names, leaves the digest as it is.
    """
    if dialect.answer_format == "json":
        return digest
    return hashlib.sha256(f"{digest} {dialect.answer_format}".encode()).hexdigest()[:12]


def _uses_history(template: str) -> bool:
    """Whether the template, or another one that it includes, may use the argument `history`."""
    try:
        parsed = Environment().parse(template)
    except TemplateSyntaxError:  # the gateway's own dialect of the language has a little more
        return "history" in template
    return "history" in meta.find_undeclared_variables(parsed) or any(meta.find_referenced_templates(parsed))
