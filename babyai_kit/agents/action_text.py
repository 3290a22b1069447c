"""The action in an answer of plain text: which ways of writing it are understood, and which are not.

Form is tolerated, meaning is not guessed: case, punctuation and wrapping are the model's style, but an
answer that names two actions, or another word for one, is not valid.
"""

from __future__ import annotations

import re
from typing import Any

from babyai_kit.environment import ACTIONS
from babyai_kit.hostile_text import parse_json

_MARK = re.compile(r"<\s*action\s*>", re.IGNORECASE)
_END = re.compile(r"<\s*/\s*action\s*>", re.IGNORECASE)
_REASONING = re.compile(r"\A.*</think(?:ing)?>", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_BULLET = re.compile(r"^(?:[-*+>#]+|\d+[.)])\s+")
_LABEL = re.compile(r"^\W*(?:(?:my|the|next|final|chosen)\s+)*(?:action|answer|move)\W*[:=]", re.IGNORECASE)
_EDGES = " \t\"'`*_.,:;!()[]{}<>|\u201c\u201d\u2018\u2019\u00ab\u00bb\u3002"


def bare_action(text: str) -> str:
    """The action of an answer that should be nothing else; empty if it is not valid.

    Understood: any case; quotes, emphasis, brackets and punctuation around it; `_` or `-` between its words;
    a label ("Action: turn left"); a line of its own among others, in a code fence or list too, if no other
    line names another action; the field "action" of a JSON object; all of these after a block of `<think>`.
    """
    text = _FENCE.sub("", _REASONING.sub("", text)).strip()
    if (answer := _object(text)) is not None:
        action = answer.get("action")
        return _plain(action) if isinstance(action, str) else ""
    lines = [line for line in text.splitlines() if line.strip()]
    labelled = [line for line in lines if _LABEL.match(_BULLET.sub("", line.strip()))]
    actions = {action for line in labelled or lines if (action := _plain(line))}
    return actions.pop() if len(actions) == 1 else ""


def marked_action(text: str) -> str:
    """The action between `<action>` and `</action>`; empty if it is not valid.

    The last mark counts; its end may be missing, and inside it `bare_action` reads. Without any mark, the
    whole answer is read as by `bare_action`.
    """
    return bare_action(_END.split(_MARK.split(_REASONING.sub("", text))[-1])[0])


def thought_before(text: str) -> str:
    """What stands before the last mark; without one, the whole text unless it is the bare action."""
    marks = list(_MARK.finditer(text))
    thought = (text[: marks[-1].start()] if marks else text).strip()
    return "" if _plain(thought) else thought


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is; None if it is none."""
    try:
        value = parse_json(text) if text.startswith("{") else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _plain(line: str) -> str:
    """The action that a line is, in any case and punctuation; empty if it is none."""
    line = _LABEL.sub("", _BULLET.sub("", line.strip()))
    words = re.sub(r"[\s_-]+", " ", line.strip(_EDGES)).lower()
    return words if words in ACTIONS else ""
