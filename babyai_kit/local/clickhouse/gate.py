"""What the engine's grants cannot forbid: the second wall, on the statement as the engine reads it.

Knows the forbidden words. It never judges the text a client sent, but the text that the engine's own
parser makes of it (`formatQuery`): comments are gone, escapes resolved, one form for everything. What
that parser refuses is refused, and only that text runs. What may run is listed, not what may not,
wherever a list is possible.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from babyai_kit.local.clickhouse.sql import Token, tokens, unquote

_RETURNS_ROWS = {"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK", "FROM"}
_CHANGES = {
    "INSERT",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "OPTIMIZE",
    "RENAME",
    "EXCHANGE",
    "DELETE",
    "UPDATE",
    "UNDROP",
    "DETACH",
    "ATTACH",
}
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


class Forbidden(Exception):
    """A statement that user SQL may not run. The message is ClickHouse's kind, with its code."""

    def __init__(self, reason: str, *, code: int = 497, name: str = "ACCESS_DENIED") -> None:
        super().__init__(f"Code: {code}. DB::Exception: {reason}. ({name})")


@dataclass(frozen=True)
class Statement:
    """A statement that may run."""

    text: bytes
    """The statement in the engine's own form. What was judged is what runs, and not what a client sent:
    chDB takes the text after an empty line among an INSERT's rows for the next statement."""
    kind: str
    """Its verb, upper case: SELECT, INSERT, CREATE, ..."""
    returns_rows: bool
    format: str | None
    """The output format that the statement itself names."""
    keeps_state: bool
    """True if it changes its connection (SET, USE, temporary tables), which is then not used again."""


class Gate:
    """The rules, with the table functions of this engine."""

    def __init__(self, table_functions: set[str], scalar_functions: set[str]) -> None:
        """`table_functions`, `scalar_functions`: names that the engine knows (system tables)."""
        unknown = {name.lower() for name in table_functions} - _TABLE_FUNCTIONS
        scalars = {name.lower() for name in scalar_functions}
        ai = {name for name in scalars if name.startswith("ai")}
        self._calls = (unknown - scalars) | _FUNCTIONS | ai
        # As an argument of a higher-order function a name needs no parenthesis: arrayMap(file, [...]).
        self._names = _FUNCTIONS & scalars

    def inspect(self, canonical: bytes) -> Statement:
        """Judge a statement in the engine's own form. Raises Forbidden."""
        found = list(tokens(canonical))
        kind = _kind(found)
        if kind not in _RETURNS_ROWS | _CHANGES | _SESSION:
            raise Forbidden(f"{kind} statements are switched off in this local server")
        for index, token in enumerate(found):
            after = found[index + 1] if index + 1 < len(found) else None
            before = found[index - 1] if index else None
            self._inspect_name(token, before, after)
            if token.is_word(b"OUTFILE", b"INFILE") and before and before.is_word(b"INTO", b"FROM"):
                raise Forbidden(
                    "INTO OUTFILE and FROM INFILE are switched off; send and receive rows over HTTP"
                )
            if token.is_word(b"PARALLEL") and after and after.is_word(b"WITH"):
                raise Forbidden(
                    "PARALLEL WITH is switched off in this local server; send one statement at a time"
                )
            if kind == "CREATE" and token.is_word(b"ENGINE") and after and after.text == b"=":
                _inspect_engine(found[index + 2] if index + 2 < len(found) else None)
        if kind == "CREATE":
            _inspect_create(found)
        if kind == "ATTACH" and any(
            t.text == b"(" or t.is_word(b"FROM", b"ENGINE", b"AS", b"UUID") for t in found
        ):
            raise Forbidden("only ATTACH TABLE name is served here, for a table that was detached")
        # "Code: N" of a settings constraint reads better than a refusal here, so settings are the engine's.
        return Statement(
            text=canonical,
            kind=kind,
            returns_rows=kind in _RETURNS_ROWS,
            format=_output_format(found) if kind in _RETURNS_ROWS else None,
            keeps_state=kind in _SESSION or any(t.is_word(b"TEMPORARY") for t in found[1:4]),
        )

    def inspect_values(self, rows: bytes) -> None:
        """Judge the rows of FORMAT Values, which may hold expressions. Raises Forbidden."""
        lowered = rows.lower()
        if not any(mark in lowered for mark in (b"`", b'"', b";", *(name.encode() for name in self._calls))):
            return
        before: Token | None = None
        token: Token | None = None
        for after in itertools.chain(tokens(rows), (None,)):
            if token is not None:
                self._inspect_name(token, before, after)
                if token.text == b";" and after is not None:
                    raise Forbidden("Multi-statements are not allowed", code=62, name="SYNTAX_ERROR")
            before, token = token, after

    def _inspect_name(self, token: Token, before: Token | None, after: Token | None) -> None:
        if token.kind == "word":
            name = token.text
        elif token.kind == "quoted":
            name = unquote(token.text)
            if b"\\" in token.text and after is not None and after.text == b"(":
                raise Forbidden("a function's name holds an escape")
        else:
            return
        lowered = name.decode("utf-8", "replace").lower()
        called = after is not None and after.text == b"("
        if called and lowered in self._calls:
            raise Forbidden(
                f"function {lowered} is switched off in this local server: it reaches outside of the database"
            )
        qualified = before is not None and before.text == b"."
        if not called and not qualified and lowered in self._names:
            raise Forbidden(
                f"the bare name {lowered} is switched off in this local server; "
                f"write a column as table.{lowered}"
            )


def _kind(found: list[Token]) -> str:
    """The verb of the statement; of WITH, the verb of its main part."""
    depth = 0
    for token in found:
        if token.text == b"(":
            depth += 1
        elif token.text == b")":
            depth -= 1
        elif token.kind == "word":
            word = token.text.upper().decode("utf-8", "replace")
            if found[0].is_word(b"WITH") and (depth or word not in ("SELECT", "INSERT")):
                continue
            return "DESCRIBE" if word == "DESC" else word
    return "WITH" if found and found[0].is_word(b"WITH") else "EMPTY"


def _inspect_create(found: list[Token]) -> None:
    """No dictionaries (theirs may run programs); of functions those that are an expression."""
    head = found[1:4]
    if any(t.is_word(b"DICTIONARY") for t in head):
        raise Forbidden("dictionaries cannot be created in this local server; use a table and a JOIN")
    if any(t.is_word(b"FUNCTION") for t in head):
        body = next((i for i, t in enumerate(found) if t.is_word(b"AS")), None)
        if body is None or any(t.is_word(b"LANGUAGE", b"ENGINE") for t in found[:body]):
            raise Forbidden(
                "only functions of the form CREATE FUNCTION name AS (x) -> ... can be created here"
            )


def _inspect_engine(token: Token | None) -> None:
    name = (
        ""
        if token is None
        else (unquote(token.text) if token.kind == "quoted" else token.text).decode("utf-8", "replace")
    )
    if not _ENGINES.fullmatch(name):
        raise Forbidden(
            f"ENGINE = {name} is switched off in this local server; use a MergeTree, Memory or Log engine"
        )


def _output_format(found: list[Token]) -> str | None:
    """The format named at the end: ... FORMAT name [SETTINGS ...]."""
    depth = 0
    for index, token in enumerate(found):
        if token.text in (b"(", b"[", b"{"):
            depth += 1
        elif token.text in (b")", b"]", b"}"):
            depth -= 1
        elif depth == 0 and token.is_word(b"FORMAT") and index + 1 < len(found):
            rest = found[index + 2 :]
            if found[index + 1].kind == "word" and (not rest or rest[0].is_word(b"SETTINGS")):
                return found[index + 1].text.decode()
    return None
