"""Agents by name: those that ship, those that a module registers, and those of a file or a class."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

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
    """The agent at `place`: a name of those that ship, `module:Class`, `path/to/file.py:Class`, or a class.

    The class may be left out where module or file define one agent. Raises InputError for what is none.
    """
    if not isinstance(place, str):
        return _spec(place, _name_of(place))
    if place in SHIPPED:
        place, name = SHIPPED[place], place
        module, _, attribute = place.partition(":")
        return _spec(getattr(importlib.import_module(module), attribute), name)
    where, _, attribute = place.rpartition(":") if _has_class(place) else (place, "", "")
    if not (where.endswith(".py") or "." in where or ":" in place):
        raise InputError(unknown("agent", place, SHIPPED) + ", or name one by module:Class or file.py:Class")
    module_ = _file(where) if where.endswith(".py") else _module(where)
    made = _member(module_, attribute, place)
    return _spec(made, getattr(made, "agent_name", None) or place)


def as_variant(spec: AgentSpec, settings: Settings) -> Variant:
    """The agent as plans, tables and the gateway's variants know it."""
    return Variant(spec.name, settings.model, spec.digest, {}, chats=True, history=spec.uses_history)


def _has_class(place: str) -> bool:
    return ":" in place and not place.endswith(".py")


def _file(path: str) -> ModuleType:
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"there is no file {path}; name the file of the agent")
    name = f"babyai_agent_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    found = importlib.util.spec_from_file_location(name, file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    # Dataclasses look their module up.
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"{path} cannot be loaded ({type(error).__name__}: {error}); mend it") from error
    return module


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"the module {name!r} of an agent cannot be imported ({error}); install it, or name its file"
        ) from None


def _member(module: ModuleType, attribute: str, place: str) -> MakeAgent:
    found = {
        name: member
        for name, member in vars(module).items()
        if getattr(member, "__module__", None) == module.__name__
        and (hasattr(member, "agent_name") or (inspect.isclass(member) and hasattr(member, "act")))
    }
    if attribute:
        made = getattr(module, attribute, None)
        if not callable(made):
            raise InputError(unknown(f"agent of {place.rpartition(':')[0]}", attribute, found))
        return made  # type: ignore[no-any-return]
    if len(found) != 1:
        there = f"defines {', '.join(found)}" if found else "defines no agent, a class with act()"
        raise InputError(f"{place} {there}; name one, as in {place}:CLASS")
    return next(iter(found.values()))


def _name_of(made: MakeAgent) -> str:
    return str(getattr(made, "agent_name", None) or getattr(made, "__name__", type(made).__name__))


def _spec(made: MakeAgent, name: str) -> AgentSpec:
    return AgentSpec(name, made, _digest(made), bool(getattr(made, "uses_history", False)))


def _digest(made: Any) -> str:
    """Over the agent's file; of a class that was typed into a notebook, over its own lines."""
    try:
        file = inspect.getsourcefile(made)
        whole = file is not None and Path(file).is_file()
        code = Path(file).read_text(encoding="utf-8") if whole and file else inspect.getsource(made)
    except (OSError, TypeError):
        code = repr(getattr(made, "__qualname__", made))
    return hashlib.sha256(code.encode()).hexdigest()[:12]
