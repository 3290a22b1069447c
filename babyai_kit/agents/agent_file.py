"""Files and modules in which agents are defined, and which of their names are agents."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from babyai_kit.agents.interface import MakeAgent
from babyai_kit.errors import InputError, unknown


def load_file(path: str, names: Mapping[str, Any] | None = None) -> ModuleType:
    """The module in the file `path`, with `names` in it before its code runs.

    Raises InputError if there is no such file, or its code cannot be run.
    """
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
    vars(module).update(names or {})
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        for_balrog = isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] == "balrog"
        remedy = f"name it balrog:{path}" if for_balrog and not names else "mend it"
        raise InputError(f"{path} cannot be loaded ({type(error).__name__}: {error}); {remedy}") from error
    return module


def member(module: ModuleType, attribute: str, place: str) -> MakeAgent:
    """What makes agents in `module`: its `attribute`, or the only one it defines. `place`: as it was named.

    Raises InputError if there is none, or more than one.
    """
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


def name_of(made: Callable[..., Any]) -> str:
    """What tables call agents of `made`, unless told otherwise."""
    return str(getattr(made, "agent_name", None) or getattr(made, "__name__", type(made).__name__))
