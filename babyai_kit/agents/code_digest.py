"""A digest over the code of an agent: whose episodes belong together is decided by it."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HERE = "babyai_kit.agents."
_OF_EVERY_AGENT = tuple(f"{_HERE}{name}" for name in ("interface", "registry", "code_digest"))
"""What they say is not what an agent says or does."""


def code_digest(made: Any, more: str = "") -> str:
    """12 hex digits over the files that the agent's code is in, and `more`, what else shapes it.

    Of a class that was typed into a notebook, over its own lines. A class that it inherits from counts, and
    of the kit's agents what they take from modules beside them; nothing else that it imports does.
    """
    code = "".join(_code(part) for part in dict.fromkeys(_parts(made)))
    return hashlib.sha256((code + more).encode()).hexdigest()[:12]


def _parts(made: Any) -> Iterator[Any]:
    beside: set[str] = set()
    for part in getattr(made, "__mro__", (made,)):
        name = getattr(part, "__module__", "")
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        yield part
        if name.startswith(_HERE) and name in sys.modules:
            beside |= {str(getattr(member, "__module__", "")) for member in vars(sys.modules[name]).values()}
    yield from (
        sys.modules[name] for name in sorted(beside) if name.startswith(_HERE) and name not in _OF_EVERY_AGENT
    )


def _code(part: Any) -> str:
    try:
        file = inspect.getsourcefile(part)
        whole = file is not None and Path(file).is_file()
        return Path(file).read_text(encoding="utf-8") if whole and file else inspect.getsource(part)
    except (OSError, TypeError):
        return repr(getattr(part, "__qualname__", part))
