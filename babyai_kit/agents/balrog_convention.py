"""What agents written for BALROG rest on: its own package where that is importable, otherwise what stands in.

PyPI's package `balrog` is another project. It counts as none.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyai_kit.agents import balrog_stand_ins
from babyai_kit.environment.balrog_compat import instruction_prompt
from babyai_kit.errors import InputError, unknown

ALIASES = {"cot": "chain_of_thought"}
"""Names in BALROG's configuration that are not those of the modules."""


@dataclass(frozen=True)
class Convention:
    """The parts of BALROG, or of what stands in for it, that an agent meets."""

    prompt_builder: Callable[..., Any]
    client: Callable[..., Any]
    response: Callable[..., Any]
    """Of model_id, completion, stop_reason, input_tokens, output_tokens, reasoning."""
    instruction: Callable[[str], str]
    """Of a mission."""
    source: str
    """The code that prompts come from."""
    names_for_a_file: Callable[[], Mapping[str, Any]] = dict
    """Put into an agent's file before its code runs."""


def present_convention() -> Convention:
    """That of BALROG's package if it is there; otherwise the stand-ins.

    Raises InputError if the package is there and cannot be imported.
    """
    folder = balrog_folder()
    if folder is None:
        history, client = balrog_stand_ins.history, balrog_stand_ins.client
        return Convention(
            history.HistoryPromptBuilder,
            client.LLMClientWrapper,
            client.LLMResponse,
            instruction_prompt,
            inspect.getsource(history) + instruction_prompt("..."),
            balrog_stand_ins.names_for_a_file,
        )
    history, client = _imported("balrog.prompt_builder.history"), _imported("balrog.client")
    text = _text_environment(folder)
    return Convention(
        history.HistoryPromptBuilder,
        balrog_stand_ins.client.LLMClientWrapper,
        client.LLMResponse,
        lambda mission: str(text.get_instruction_prompt(None, mission=mission)),
        inspect.getsource(history) + text.get_instruction_prompt(None, mission="..."),
    )


def own_agent(name: str) -> Callable[..., Any]:
    """The class of one of BALROG's own agents, such as naive. Raises InputError if it is not there."""
    folder = balrog_folder()
    if folder is None:
        raise InputError(
            f"balrog:{name} needs BALROG's own package, which is not importable (PyPI's balrog is another "
            "project); put BALROG's repository on PYTHONPATH, or name a file, as in balrog:custom.py"
        )
    names = sorted(file.stem for file in (folder / "agents").glob("*.py"))
    names = [name for name in names if name not in ("__init__", "base")]
    module_name = ALIASES.get(name, name)
    if module_name not in names:
        raise InputError(unknown("agent of BALROG", name, names) + ", or name a file, as in balrog:custom.py")
    module = _imported(f"balrog.agents.{module_name}")
    found = [
        member
        for member in vars(module).values()
        if inspect.isclass(member) and member.__module__ == module.__name__ and hasattr(member, "act")
    ]
    if len(found) != 1:
        raise InputError(f"{module.__name__} defines no agent of its own; name another, or a file")
    return found[0]


def balrog_folder() -> Path | None:
    """Where BALROG's package is; None if it is not importable, or the one of that name is another."""
    try:
        found = importlib.util.find_spec("balrog")
    except (ImportError, ValueError):
        return None
    places = map(Path, (found and found.submodule_search_locations) or ())
    needed = ("agents/base.py", "prompt_builder/history.py", "client.py")
    return next((place for place in places if all((place / file).is_file() for file in needed)), None)


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"BALROG's package is there, but {name} cannot be imported ({error}); install what it needs: "
            "pip install openai anthropic google-genai"
        ) from error


def _text_environment(folder: Path) -> Any:
    """BALROG's module with the instruction, without the package around it, which imports every game."""
    name = "balrog.environments.babyai_text"
    if name in sys.modules:
        return sys.modules[name]
    place = folder / "environments" / "babyai_text"
    found = importlib.util.spec_from_file_location(
        "babyai_kit_balrog_text", place / "__init__.py", submodule_search_locations=[str(place)]
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # for its imports from beside it
    try:
        found.loader.exec_module(module)
    except (ImportError, OSError) as error:
        raise InputError(
            f"BALROG's instruction in {place} cannot be read ({error}); restore its repository"
        ) from error
    return module
