"""Text that others wrote (models, servers, file names), made safe to display.

Escaping for HTML is left to whoever writes HTML. Nothing is dropped: what cannot be seen is replaced by a
symbol.
"""

from __future__ import annotations

_SYMBOLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
# C1 controls; then the marks that turn or break the direction of what follows them.
_SYMBOLS |= dict.fromkeys(
    [*range(0x80, 0xA0), 0x200E, 0x200F, 0x061C, *range(0x2028, 0x202F), *range(0x2066, 0x206A)], 0xFFFD
)
_SYMBOLS |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)


def visible(text: str) -> str:
    """`text` with control characters as their symbols, and surrogates and marks of direction as U+FFFD.

    Newlines and tabs stay. The result can be encoded, and reads in the order in which it is stored.
    """
    return text.replace("\r\n", "\n").translate(_SYMBOLS)
