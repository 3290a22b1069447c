"""Answers no prompt asks for: a corpus of nasty ones and a generator of variations, for tests and soak."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from babyai_kit import ACTIONS

GOOD = tuple(json.dumps({"action": action}) for action in ACTIONS)

CORPUS = (
    "",
    " ",
    "\x00",
    "\x00\x01\x02\x1b[31mred\x1b[0m\x7f\x85\u2028\u2029",
    "null",
    "true",
    "0",
    "-1e999",
    "NaN",
    "Infinity",
    "9" * 5000,
    '"go forward"',
    "[]",
    "{}",
    '["go forward"]',
    '{"action": null}',
    '{"action": true}',
    '{"action": 2}',
    '{"action": 1e400}',
    '{"action": ["go forward"]}',
    '{"action": {"action": "go forward"}}',
    '{"action": "go forward ' + " " * 5000 + '"}',
    '{"action": "GO FORWARD"}',
    '{"action": "go\\u0020forward"}',
    '{"action": "go\\tforward"}',
    '{"action": "\\ud800"}',
    '{"action": "go forward\\u0000"}',
    '{"action": "go forward", "action": "drop"}',
    '{"thinking": {"deep": 1}, "action": "drop"}',
    '{"thinking": null, "action": "drop"}',
    '{"thinking": "\\ud83d\\ude00 \\u202e", "action": "drop", "extra": [1, {}]}',
    '{"action": "drop"} trailing',
    '{"action": "drop"',
    '{"action": "dr',
    "\ufeff" + '{"action": "drop"}',
    "```json\n" + '{"action": "drop"}' + "\n```",
    "<think>drop</think>" + '{"action": "drop"}',
    "{'action': 'drop'}",
    "action: drop",
    "drop",
    "向前走",
    '{"action": "向前走"}',
    '{"aktion": "vorwärts gehen"}',
    '{"行动": "go forward"}',
    "اذهب إلى الأمام \u202e",
    "👾" * 500,
    "e\u0301" * 500,
    "[" * 3000,
    "[" * 3000 + "]" * 3000,
    '{"a":' * 1000 + "1" + "}" * 1000,
    '{"thinking": "' + "x" * 20_000 + '", "action": "toggle"}',
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "'; DROP TABLE JsonInference; --",
    "{{ mission }} {% for %}",
    "%s %n {0} ${HOME} $(id)",
    "\\",
    '\\"',
    "\r\n\r\n",
    "data: [DONE]\n\n",
)

_PIECES = (
    *("{", "}", "[", "]", '"', ":", ",", "\\", "\n", "\x00", "\x1f", "null", "true", "1e9", "-0", "\\u0000"),
    *('"action"', '"thinking"', "action", "go forward", "turn left", "drop", "élan", "前", "🙂", " "),
)


def generated(count: int, seed: int) -> Iterator[str]:
    """`count` answers: good ones, corpus, corpus with a wound, tangles of pieces, JSON of wrong types."""
    rng = random.Random(seed)
    for i in range(count):
        kind = rng.random()
        if i < len(CORPUS):
            yield CORPUS[i]
        elif kind < 0.2:
            yield rng.choice(GOOD)
        elif kind < 0.5:
            text = rng.choice(CORPUS + GOOD)[:400]
            at = rng.randrange(len(text) + 1)
            yield text[:at] + rng.choice(_PIECES) + text[at + rng.randrange(3) :]
        elif kind < 0.8:
            yield "".join(rng.choice(_PIECES) for _ in range(rng.randrange(30)))
        else:
            yield json.dumps({"action": _value(rng, 3), "thinking": _value(rng, 3)})


def _value(rng: random.Random, depth: int) -> object:
    kind = rng.randrange(8 if depth else 6)
    if kind == 6:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {rng.choice(_PIECES): _value(rng, depth - 1) for _ in range(rng.randrange(4))}
    text = "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0xD800)))) for _ in range(8))
    return (None, rng.random() < 0.5, rng.randrange(-(10**30), 10**30), rng.gauss(0, 1e9), text, ACTIONS[0])[
        kind
    ]
