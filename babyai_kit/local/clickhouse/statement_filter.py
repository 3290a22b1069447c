"""Refuses what the engine's grants cannot forbid, judged on the statement as the engine reads it.

This is the second wall, behind `engine_config`. It never judges the text a client sent, but the text that the
engine's own parser makes of it (`formatQuery`): comments are gone, escapes resolved, one form for everything.
What that parser refuses is refused, and only that text runs. What may run is listed, not what may not,
wherever a list is possible.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from babyai_kit.local.clickhouse.sql import Token, tokens, unquote

_RETURNS_ROWS = {"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK", "FROM"}
_CHANGES = {
    "INSERT", "CREATE", "ALTER", "DROP", "TRUNCATE", "OPTIMIZE", "RENAME", "EXCHANGE", "DELETE", "UPDATE",
    "UNDROP", "DETACH", "ATTACH",
}  # fmt: skip
_SESSION = {"SET", "USE"}

_TABLE_FUNCTIONS = {
    "numbers", "numbers_mt", "zeros", "zeros_mt", "generate_series", "generateseries", "generaterandom",
    "primes", "values", "view", "null", "format", "input", "merge", "loop", "mergetreeindex",
    "mergetreeprojection", "fuzzquery", "fuzzjson",
}  # fmt: skip
"""Table functions that reach nothing outside of the engine."""

_FUNCTIONS = {
    "file", "catboostevaluate", "executable", "python", "disk", "generate_sql", "sleep", "sleepeachrow",
}  # fmt: skip
"""Functions that reach the file system, the process or its clock, and that no grant covers."""

_ENGINES = re.compile(
    r"(Replacing|Summing|Aggregating|Collapsing|VersionedCollapsing|Coalescing)?MergeTree"
    r"|Memory|Null|Log|TinyLog|StripeLog|Set|Join|Merge|Buffer|View|MaterializedView|Atomic|GenerateRandom"
)


class ForbiddenStatement(Exception):
    """A statement that user SQL may not run. The message has ClickHouse's form, with its code."""

    def __init__(self, reason: str, *, code: int = 497, name: str = "ACCESS_DENIED") -> None:
        super().__init__(f"Code: {code}. DB::Exception: {reason}. ({name})")


@dataclass(frozen=True)
class Statement:
    """A statement that may run."""

    text: bytes
    """The statement in the engine's own form. What was judged runs, and not what a client sent:
    chDB takes the text after an empty line among an INSERT's rows for the next statement."""
    kind: str
    """Its verb, upper case: SELECT, INSERT, CREATE, ..."""
    returns_rows: bool
    format: str | None
    """The output format that the statement itself names."""
    keeps_state: bool
    """True if it changes its connection (SET, USE, temporary tables), which is then not used again."""


class StatementFilter:
    """The rules, with the functions of this engine."""

    def __init__(self, table_functions: set[str], scalar_functions: set[str]) -> None:
        """`table_functions`, `scalar_functions`: names that the engine knows (system tables)."""
        scalars = {name.lower() for name in scalar_functions}
        unknown = {name.lower() for name in table_functions} - _TABLE_FUNCTIONS
        ai = {name for name in scalars if name.startswith("ai")}
        self._calls = (unknown - scalars) | _FUNCTIONS | ai
        # As an argument of a higher-order function a name needs no parenthesis: arrayMap(file, [...]).
        self._names = _FUNCTIONS & scalars
        self._value_marks = [b"`", b'"', b";", *(name.encode() for name in self._calls)]

    def inspect(self, canonical: bytes) -> Statement:
        """Judge a statement in the engine's own form. Raises ForbiddenStatement."""
        sequence = list(tokens(canonical))
        kind = _kind(sequence)
        if kind not in _RETURNS_ROWS | _CHANGES | _SESSION:
            raise ForbiddenStatement(f"{kind} statements are not allowed in this local server")
        for before, token, after in _with_neighbors(sequence):
            self._inspect_name(token, before, after)
            if token.is_word(b"OUTFILE", b"INFILE") and before and before.is_word(b"INTO", b"FROM"):
                raise ForbiddenStatement(
                    "INTO OUTFILE and FROM INFILE are not allowed; send and receive rows over HTTP"
                )
            if token.is_word(b"PARALLEL") and after and after.is_word(b"WITH"):
                raise ForbiddenStatement(
                    "PARALLEL WITH is not allowed in this local server; send one statement at a time"
                )
        if kind == "CREATE":
            _inspect_create(sequence)
        if kind == "ATTACH" and any(
            token.text == b"(" or token.is_word(b"FROM", b"ENGINE", b"AS", b"UUID") for token in sequence
        ):
            raise ForbiddenStatement("only ATTACH TABLE name is allowed, for a table that was detached")
        # "Code: N" of a settings constraint reads better than a refusal here, so settings are the engine's.
        return Statement(
            text=canonical,
            kind=kind,
            returns_rows=kind in _RETURNS_ROWS,
            format=_output_format(sequence) if kind in _RETURNS_ROWS else None,
            keeps_state=kind in _SESSION or any(token.is_word(b"TEMPORARY") for token in sequence[1:4]),
        )

    def inspect_values(self, rows: bytes) -> None:
        """Judge the rows of FORMAT Values, which may hold expressions. Raises ForbiddenStatement."""
        lowered = rows.lower()
        if not any(mark in lowered for mark in self._value_marks):
            return
        for before, token, after in _with_neighbors(tokens(rows)):
            self._inspect_name(token, before, after)
            if token.text == b";" and after is not None:
                raise ForbiddenStatement("Multi-statements are not allowed", code=62, name="SYNTAX_ERROR")

    def _inspect_name(self, token: Token, before: Token | None, after: Token | None) -> None:
        if token.kind not in ("word", "quoted"):
            return
        name = _name(token)
        called = after is not None and after.text == b"("
        if called and token.kind == "quoted" and b"\\" in token.text:
            raise ForbiddenStatement("the name of a function must not contain an escape")
        if called and name.lower() in self._calls:
            raise ForbiddenStatement(
                f"function {name.lower()} is not allowed in this local server: "
                "it reaches outside of the database"
            )
        qualified = before is not None and before.text == b"."
        if not called and not qualified and name.lower() in self._names:
            raise ForbiddenStatement(
                f"the bare name {name.lower()} is not allowed in this local server; "
                f"write a column as table.{name.lower()}"
            )


def _with_neighbors(sequence: Iterable[Token]) -> Iterator[tuple[Token | None, Token, Token | None]]:
    """Each token with the one before and the one after it."""
    before: Token | None = None
    token: Token | None = None
    for after in itertools.chain(sequence, (None,)):
        if token is not None:
            yield before, token, after
        before, token = token, after


def _name(token: Token) -> str:
    text = unquote(token.text) if token.kind == "quoted" else token.text
    return text.decode("utf-8", "replace")


def _kind(sequence: list[Token]) -> str:
    """The verb of the statement; of WITH, the verb of its main part."""
    behind_with = bool(sequence) and sequence[0].is_word(b"WITH")
    depth = 0
    for token in sequence:
        if token.text == b"(":
            depth += 1
        elif token.text == b")":
            depth -= 1
        elif token.kind == "word":
            word = token.text.upper().decode("utf-8", "replace")
            if behind_with and (depth or word not in ("SELECT", "INSERT")):
                continue
            return "DESCRIBE" if word == "DESC" else word
    return "WITH" if behind_with else "EMPTY"


def _inspect_create(sequence: list[Token]) -> None:
    """Known engines, no dictionaries (theirs may run programs); of functions those that are an expression."""
    for before, token, after in _with_neighbors(sequence):
        if before is not None and before.is_word(b"ENGINE") and token.text == b"=":
            name = "" if after is None else _name(after)
            if not _ENGINES.fullmatch(name):
                raise ForbiddenStatement(
                    f"ENGINE = {name} is not allowed in this local server; "
                    "use a MergeTree, Memory or Log engine"
                )
    head = sequence[1:4]
    if any(token.is_word(b"DICTIONARY") for token in head):
        raise ForbiddenStatement("dictionaries are not allowed in this local server; use a table and a JOIN")
    if any(token.is_word(b"FUNCTION") for token in head):
        body = next((index for index, token in enumerate(sequence) if token.is_word(b"AS")), None)
        if body is None or any(token.is_word(b"LANGUAGE", b"ENGINE") for token in sequence[:body]):
            raise ForbiddenStatement(
                "a function must have the form CREATE FUNCTION name AS (x) -> ... in this local server"
            )


def _output_format(sequence: list[Token]) -> str | None:
    """The format named at the end: ... FORMAT name [SETTINGS ...]."""
    depth = 0
    for index, token in enumerate(sequence):
        if token.text in (b"(", b"[", b"{"):
            depth += 1
        elif token.text in (b")", b"]", b"}"):
            depth -= 1
        elif depth == 0 and token.is_word(b"FORMAT") and index + 1 < len(sequence):
            name, rest = sequence[index + 1], sequence[index + 2 :]
            if name.kind == "word" and (not rest or rest[0].is_word(b"SETTINGS")):
                return name.text.decode()
    return None
