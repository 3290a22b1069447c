"""What agents written for BALROG import, where BALROG's own package cannot be imported: a base class,
messages, the builder of prompts and the form of answers, in code of this kit's own.

An agent's file sees them under BALROG's names and nothing else does: no module of these names comes into
`sys.modules`, so that another package called `balrog` (PyPI has one, for access control) stays what it is.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from babyai_kit.agents.balrog_stand_ins import base, client, history


def _package(name: str, **members: Any) -> ModuleType:
    package = ModuleType(name, f"Stands in for BALROG's package `{name}`.")
    vars(package).update(members)
    return package


_AGENTS = _package("balrog.agents", base=base)
_PROMPTS = _package(
    "balrog.prompt_builder", history=history, HistoryPromptBuilder=history.HistoryPromptBuilder
)
MODULES: Mapping[str, ModuleType] = {
    "balrog": _package("balrog", agents=_AGENTS, prompt_builder=_PROMPTS, client=client),
    "balrog.agents": _AGENTS,
    "balrog.agents.base": base,
    "balrog.client": client,
    "balrog.prompt_builder": _PROMPTS,
    "balrog.prompt_builder.history": history,
}


def names_for_a_file() -> dict[str, Any]:
    """Names to put into a module before its code runs, so that its import statements, also those within its
    functions, find the stand-ins."""
    return {"__builtins__": {**vars(builtins), "__import__": _import}}


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    if level or name.partition(".")[0] != "balrog":
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    if name not in MODULES:
        raise ModuleNotFoundError(
            f"No module named {name!r} without BALROG's own package; there are {', '.join(MODULES)}",
            name=name,
        )
    return MODULES[name] if fromlist else MODULES["balrog"]
