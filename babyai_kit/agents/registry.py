"""Agents by name: those that ship, those that a module registers, and those of a file or a class."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from babyai_kit.agents.agent_file import load_file, member, name_of
from babyai_kit.agents.interface import MakeAgent
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Variant
from babyai_kit.errors import InputError, unknown

SHIPPED: dict[str, str] = {}
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


def agent(name: str, *, uses_history: bool = False) -> Callable[[T], T]:
    """Decorator of a class or function that makes agents: gives it the `name` by which plans know it.

    `uses_history`: its prompts depend on the plan's history length. Raises InputError for a name that is
    empty or has a comma, which separates names.
    """
    if not name.strip() or not name.isprintable() or "," in name:
        raise InputError(f"agent name {name!r} is not valid; use a name without a comma")

    def named(made: T) -> T:
        made.agent_name = name  # type: ignore[attr-defined]
        made.uses_history = uses_history  # type: ignore[attr-defined]
        return made

    return named


def find_agent(place: str | MakeAgent) -> AgentSpec:
    """The agent at `place`: a name of those that ship, `module:Class`, `path/to/file.py:Class`, or a class;
    or one written for BALROG, as `balrog:path/to/file.py` or `balrog:naive`.

    The class may be left out where module or file define one agent. Raises InputError for what is none.
    """
    if not isinstance(place, str):
        return _spec(place, name_of(place))
    if place.startswith("balrog:"):
        from babyai_kit.agents.balrog import find_balrog_agent

        return find_agent(find_balrog_agent(place.removeprefix("balrog:")))
    if place in SHIPPED:
        place, name = SHIPPED[place], place
        module, _, attribute = place.partition(":")
        return _spec(getattr(importlib.import_module(module), attribute), name)
    where, _, attribute = place.rpartition(":") if _has_class(place) else (place, "", "")
    if not (where.endswith(".py") or "." in where or ":" in place):
        raise InputError(unknown("agent", place, SHIPPED) + ", or name one by module:Class or file.py:Class")
    module_ = load_file(where) if where.endswith(".py") else _module(where)
    made = member(module_, attribute, place)
    return _spec(made, getattr(made, "agent_name", None) or place)


def as_variant(spec: AgentSpec, settings: Settings) -> Variant:
    """The agent as plans, tables and the gateway's variants know it."""
    return Variant(spec.name, settings.model, spec.digest, {}, chats=True, history=spec.uses_history)


def _has_class(place: str) -> bool:
    return ":" in place and not place.endswith(".py")


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"the module {name!r} of an agent cannot be imported ({error}); install it, or name its file"
        ) from None


def _spec(made: MakeAgent, name: str) -> AgentSpec:
    digest = getattr(made, "agent_digest", None) or _digest(made)
    return AgentSpec(name, made, digest, bool(getattr(made, "uses_history", False)))


def _digest(made: Any) -> str:
    """Over the agent's file; of a class that was typed into a notebook, over its own lines."""
    try:
        file = inspect.getsourcefile(made)
        whole = file is not None and Path(file).is_file()
        code = Path(file).read_text(encoding="utf-8") if whole and file else inspect.getsource(made)
    except (OSError, TypeError):
        code = repr(getattr(made, "__qualname__", made))
    return hashlib.sha256(code.encode()).hexdigest()[:12]
