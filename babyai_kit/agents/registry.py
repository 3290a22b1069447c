"""Agents by name: those that ship, those that a module registers, and those of a file or a class.

An agent's parameters are the keyword-only arguments of its class. They are part of its name, since another
value makes another agent: `few_shot:examples=3` on a command line, `partial(FewShot, examples=3)` in Python.
A class that reads files does so in a static method `prepare`, which takes the parameters once, before the
run, checks them, and returns more arguments of the class. They are part of the agent's digest.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

from babyai_kit.agents.agent_file import load_file, member, name_of
from babyai_kit.agents.code_digest import code_digest
from babyai_kit.agents.interface import MakeAgent
from babyai_kit.configuration.models import HUMAN
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Variant
from babyai_kit.errors import InputError, unknown

SHIPPED: dict[str, str] = {
    "naive": "babyai_kit.agents.naive:Naive",
    "robust_naive": "babyai_kit.agents.robust_naive:RobustNaive",
    "chain_of_thought": "babyai_kit.agents.chain_of_thought:ChainOfThought",
    "best_of_n": "babyai_kit.agents.best_of_n:BestOfN",
    "vision": "babyai_kit.agents.vision:Vision",
    "explore": "babyai_kit.agents.explore:Explore",
    "chain_of_thought_remembering": "babyai_kit.agents.chain_of_thought:ChainOfThoughtRemembering",
    "in_context": "babyai_kit.agents.in_context:InContext",
    "few_shot": "babyai_kit.agents.few_shot:FewShot",
    "plan": "babyai_kit.agents.plan:Plan",
    "reflect": "babyai_kit.agents.reflect:Reflect",
}
"""Names of the agents that ship, and where each is, as `module:name`."""

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class AgentSpec:
    """An agent that can be played."""

    name: str
    """As tables call it, in the column `variant`."""
    make: MakeAgent
    digest: str
    """12 hex digits over the code that it is made of: its file, or its class where there is no file."""
    uses_history: bool = False
    """Whether the plan's history length is one of its settings."""
    needs: tuple[str, ...] = ()
    """What it needs, which is tried before a run: `images`, of the model; `embeddings`, by a model of their
    own (`embeddings:MODEL` if that is named)."""
    asks: Mapping[str, float] | None = None
    """The variants of `config/` that it asks, each with its calls a step on average, and with no messages of
    its own; empty: it asks nothing. None: it asks with messages."""


def agent(
    name: str,
    *,
    uses_history: bool = False,
    needs: tuple[str, ...] | Callable[..., tuple[str, ...]] = (),
    asks: Mapping[str, float] | Callable[..., Mapping[str, float]] | None = None,
) -> Callable[[T], T]:
    """Decorator of a class or function that makes agents: gives it the `name` by which plans know it.

    `uses_history`: its prompts depend on the plan's history length, as they do anyway if those of the
    variants do that it asks. `needs`, `asks`: see AgentSpec; both may be functions of the parameters.
    Raises InputError for a name that is empty or has a comma, which separates names.
    """
    if not name.strip() or not name.isprintable() or "," in name:
        raise InputError(f"agent name {name!r} is not valid; use a name without a comma")

    def named(made: T) -> T:
        made.agent_name = name  # type: ignore[attr-defined]
        made.uses_history = uses_history  # type: ignore[attr-defined]
        made.needs = needs  # type: ignore[attr-defined]
        made.asked_variants = asks  # type: ignore[attr-defined]
        return made

    return named


def find_agent(place: str | MakeAgent) -> AgentSpec:
    """The agent at `place`: a name of those that ship, `module:Class`, `path/to/file.py:Class`, or a class;
    or one written for BALROG, as `balrog:path/to/file.py` or `balrog:naive`.

    The class may be left out where module or file define one agent. `:PARAMETER=VALUE` after any of them, or
    a `partial`, sets its parameters. Raises InputError for what is none.
    """
    if isinstance(place, partial):
        return _spec(place.func, name_of(place.func), place.keywords)
    if not isinstance(place, str):
        return _spec(place, name_of(place))
    place, options = _options(place)
    if place.startswith("balrog:"):
        from babyai_kit.agents.balrog import balrog_agent

        written = balrog_agent(place.removeprefix("balrog:"))
        return _spec(written, written.agent_name, options)
    if place == HUMAN:
        raise InputError(
            "the agent 'human' is a person, who plays in the viewer and not in a run; start "
            "`python -m babyai_kit view` and open its page Play"
        )
    if place in SHIPPED:
        place, name = SHIPPED[place], place
        module, _, attribute = place.partition(":")
        return _spec(getattr(importlib.import_module(module), attribute), name, options)
    where, _, attribute = place.rpartition(":") if _has_class(place) else (place, "", "")
    if not (where.endswith(".py") or "." in where or ":" in place):
        raise InputError(unknown("agent", place, SHIPPED) + ", or name one by module:Class or file.py:Class")
    module_ = load_file(where) if where.endswith(".py") else _module(where)
    made = member(module_, attribute, place)
    return _spec(made, getattr(made, "agent_name", None) or place, options)


def as_variant(spec: AgentSpec, settings: Settings) -> Variant:
    """The agent as plans, tables and the gateway's variants know it."""
    return Variant(
        spec.name,
        settings.model,
        spec.digest,
        {},
        chats=True,
        history=spec.uses_history,
        needs=spec.needs,
        asks=spec.asks,
    )


def _has_class(place: str) -> bool:
    return ":" in place and not place.endswith(".py")


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"the module {name!r} of an agent cannot be imported ({error}); install it, or name its file"
        ) from None


def _options(place: str) -> tuple[str, dict[str, str]]:
    """A place without its parameters, and these."""
    head, *parts = re.split(r":(?=[A-Za-z_]\w*=)", place)
    return head, dict(part.split("=", 1) for part in parts)


def _spec(made: MakeAgent, name: str, options: Mapping[str, Any] | None = None) -> AgentSpec:
    prepare = getattr(made, "prepare", None)
    chosen = _checked(prepare or made, name, options or {})
    name = ":".join([name, *(f"{key}={value}" for key, value in chosen.items())])
    if "," in name or not name.isprintable():
        raise InputError(f"agent {name!r} is not valid; use parameters without a comma")
    read = dict(prepare(**chosen)) if prepare is not None else {}
    arguments = {**chosen, **read}
    digest = code_digest(made, repr(arguments) if arguments else "")
    make = partial(made, **arguments) if arguments else made
    needs = getattr(made, "needs", ())
    needs = tuple(needs(**chosen) if callable(needs) else needs)
    asks = getattr(made, "asked_variants", None)
    asks = asks(**chosen) if callable(asks) else asks
    return AgentSpec(name, make, digest, bool(getattr(made, "uses_history", False)), needs, asks)


def _checked(taker: Callable[..., Any], name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in the order of their `taker`, words turned into what its defaults are."""
    known = {
        key: parameter.default
        for key, parameter in (inspect.signature(taker).parameters if options else {}).items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in options:
        if key not in known:
            what = f"parameter of agent {name}"
            raise InputError(unknown(what, key, known) if known else f"unknown {what} {key!r}; it has none")
    values = {
        key: _value(options[key], of, f"{key} of agent {name}") for key, of in known.items() if key in options
    }
    return {key: value for key, value in values.items() if value != known[key]}


def _value(given: Any, default: Any, what: str) -> Any:
    """`given` as the kind that `default` is, if it is given in words. Raises InputError for other words."""
    kinds: dict[type, tuple[str, Callable[[str], Any]]] = {
        bool: ("true or false", {"true": True, "false": False}.__getitem__),
        int: ("a whole number", int),
        float: ("a number", float),
    }
    if isinstance(default, float) and type(given) is int:
        return float(given)  # one agent, and one name, whichever way the number is written
    if not isinstance(given, str) or type(default) not in kinds:
        return given
    kind, read = kinds[type(default)]
    try:
        return read(given.lower())
    except (KeyError, ValueError):
        raise InputError(f"{what} must be {kind}; got {given!r}") from None
