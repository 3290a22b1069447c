"""Text that others wrote (models, servers, files, their names), made safe to display and to read as JSON.

Escaping for HTML is left to whoever writes HTML. Nothing is dropped: what cannot be seen is replaced by a
symbol.
"""

from __future__ import annotations

import json
from typing import Any

_SYMBOLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
# C1 controls; then the marks that turn or break the direction of what follows them.
_SYMBOLS |= dict.fromkeys(
    [*range(0x80, 0xA0), 0x200E, 0x200F, 0x061C, *range(0x2028, 0x202F), *range(0x2066, 0x206A)], 0xFFFD
)
_SYMBOLS |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)

MAX_DEPTH = 100
"""Lists and objects inside each other in JSON; nothing that the kit reads needs ten."""


def visible(text: str) -> str:
    """`text` with control characters as their symbols, and surrogates and marks of direction as U+FFFD.

    Newlines and tabs stay. The result can be encoded, and reads in the order in which it is stored.
    """
    return text.replace("\r\n", "\n").translate(_SYMBOLS)


def one_line(text: str, limit: int | None = None) -> str:
    """`visible` text as a single line, with single spaces, cut after `limit` characters."""
    # Cut first: a server's text can have megabytes.
    start = text if limit is None else text[: 4 * limit]
    line = visible(" ".join(start.split()))
    return line if limit is None or len(line) <= limit else f"{line[:limit]}…"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError also for one nested deeper than MAX_DEPTH.

    Whatever walks through such a value, `json` first, would end in a RecursionError.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    brackets = str(text, "latin-1") if isinstance(text, bytes) else text
    if brackets.count("[") + brackets.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    return value


def _depth(value: Any) -> int:
    """How many lists and objects stand inside each other, at most MAX_DEPTH + 1."""
    depth, level = 0, [value]
    while depth <= MAX_DEPTH:
        level = [item for item in level if isinstance(item, (list, dict))]
        if not level:
            break
        depth += 1
        level = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
    return depth
