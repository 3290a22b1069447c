"""Reads ClickHouse SQL just far enough: its tokens, and where a statement ends and its data begin.

Pure functions over text. What is allowed is decided in `statement_filter`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    rb"""
      (?P<space>\s+|--[^\n]*|\#[\ !][^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<heredoc>\$[A-Za-z0-9_]*\$)
    | (?P<string>'[^'\\]*(?:\\(?:.|\Z)[^'\\]*)*(?:'|\Z))
    | (?P<quoted>`[^`\\]*(?:\\(?:.|\Z)[^`\\]*)*(?:`|\Z)|"[^"\\]*(?:\\(?:.|\Z)[^"\\]*)*(?:"|\Z))
    | (?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)
    | (?P<number>[0-9][A-Za-z0-9_.]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
"""What is not closed runs to the end, so that hostile text is read once and not over and over."""

_MAX_OPEN_HEREDOCS = 16


class Token(NamedTuple):
    kind: str
    """string, quoted (an identifier), word, number or other (one character)."""
    text: bytes
    start: int
    end: int

    def is_word(self, *words: bytes) -> bool:
        """True if this is one of the bare keywords `words` (upper case)."""
        return self.kind == "word" and self.text.upper() in words


def tokens(sql: bytes) -> Iterator[Token]:
    """The tokens of `sql` without white space and comments."""
    position = 0
    open_heredocs = 0
    while (match := _TOKEN.match(sql, position)) is not None:
        kind, start, position = match.lastgroup or "other", match.start(), match.end()
        if kind == "heredoc":
            end = sql.find(match.group(), position) if open_heredocs < _MAX_OPEN_HEREDOCS else -1
            if end < 0:
                open_heredocs += 1
                kind, position = "other", start + 1
            else:
                kind, position = "string", end + len(match.group())
        if kind != "space":
            yield Token(kind, sql[start:position], start, position)


def unquote(text: bytes) -> bytes:
    """The name inside a quoted identifier."""
    body = text[1:-1]
    return re.sub(rb"\\(.)", rb"\1", body.replace(text[:1] * 2, text[:1]), flags=re.DOTALL)


class Insert(NamedTuple):
    """An INSERT whose rows follow the statement."""

    sql: bytes
    """The statement up to, and without, FORMAT or VALUES."""
    format: str
    data_start: int
    """Offset of the first byte of the rows."""
    selects: bool
    """True for INSERT ... SELECT ... FROM input(...)."""


_FORMAT_END = re.compile(rb"[ \t\r]*;?[ \t\r]*\n?")
"""What separates a format's name from the rows. The regular expression matches anything."""
_NOT_A_FORMAT = (b"FROM", b"AS", b"WHERE", b"AND", b"OR", b"IN", b"IS", b"LIKE", b"ORDER", b"GROUP", b"LIMIT")


def find_insert(text: bytes) -> Insert | None:
    """The INSERT at the start of `text` if its rows follow in a format; None for any other statement."""
    stream = tokens(text)
    previous = next(stream, None)
    if previous is None or not previous.is_word(b"INSERT"):
        return None
    depth = 0
    selects = False
    uses_input = False
    for token in stream:
        if token.text in (b"(", b"[", b"{"):
            depth += 1
            uses_input = uses_input or previous.is_word(b"INPUT")
        elif token.text in (b")", b"]", b"}"):
            depth -= 1
        elif depth == 0 and token.text == b";":
            return None
        elif depth == 0 and not previous.is_word(b"INTO", b"TABLE"):
            if token.is_word(b"SELECT", b"WITH"):
                selects = True
            elif token.is_word(b"VALUES") and not selects and previous.text != b".":
                return Insert(text[: token.start], "Values", token.end, False)
            elif token.is_word(b"FORMAT") and previous.text != b"." and (uses_input or not selects):
                name = next(stream, None)
                if name is not None and name.kind == "word" and not name.is_word(*_NOT_A_FORMAT):
                    separator = _FORMAT_END.match(text, name.end)
                    assert separator is not None
                    return Insert(text[: token.start], name.text.decode(), separator.end(), selects)
        previous = token
    return None


def split_settings(insert: bytes) -> int:
    """Offset of an INSERT statement's own SETTINGS; the statement's length if it has none."""
    depth = 0
    for token in tokens(insert):
        if token.text == b"(":
            depth += 1
        elif token.text == b")":
            depth -= 1
        elif depth == 0 and token.is_word(b"SETTINGS"):
            return token.start
    return len(insert)
