"""Why an answer was not valid: what kinds of wrong answers there are, told from a recorded step.

Nothing is salvaged from such an answer; the kinds only say what to do about many of one kind.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from babyai_kit.environment import ACTIONS
from babyai_kit.runs.records import StepRecord

InvalidReason = Literal["cut off", "refused", "empty", "wrapped", "unknown action", "another form"]
"""What is wrong with an answer.

cut off: it used up max_tokens. refused: the model or a content filter declined. empty: no text. wrapped: a
JSON object stands in it, beside other text (`<think>`, a code fence, prose). unknown action: JSON as asked
for, with an action that does not exist. another form: anything else.
"""

INVALID_REASONS: tuple[InvalidReason, ...] = get_args(InvalidReason)

REMEDIES: dict[InvalidReason, str] = {
    "cut off": "raise max_tokens, or lower the model's reasoning effort",
    "refused": "read the answers; another model or prompt may not be refused",
    "empty": "check the model's chat template and its server's log",
    "wrapped": "serve the model with JSON mode or a reasoning parser, so that the answer is JSON alone",
    "unknown action": "read the answers; the model does not follow the list of actions",
    "another form": "serve the model with JSON mode, or use a model that follows instructions",
}
"""What helps against many invalid answers of one kind."""

_NO_ACTION = "read the answers; the agent finds no action in them, so change what it asks or how it reads"
REMEDIES_OF_CHATS: dict[InvalidReason, str] = {
    **REMEDIES,
    "empty": "check what the agent returns, the model's chat template and its server's log",
    "wrapped": _NO_ACTION,
    "unknown action": _NO_ACTION,
    "another form": _NO_ACTION,
}
"""Likewise for an agent of Python code, which asks with messages and itself finds the action in an answer."""


def invalid_reason(step: StepRecord) -> InvalidReason | None:
    """Why the answer of `step` was not valid; None for a valid one."""
    if step.valid:
        return None
    return reason_of(step.answer, step.finish_reason)


def reason_of(answer: str | None, finish_reason: str | None) -> InvalidReason:
    """Why `answer`, the raw text of an invalid one, was not valid."""
    if finish_reason == "content_filter":
        return "refused"
    if finish_reason == "length":
        return "cut off"
    text = (answer or "").strip()
    if not text:
        return "empty"
    content = _json(text)
    if isinstance(content, dict):
        action = content.get("action")
        return "unknown action" if isinstance(action, str) and action not in ACTIONS else "another form"
    return "wrapped" if isinstance(_json(_within(text)), dict) else "another form"


def remedy(reasons: Mapping[InvalidReason, int], *, chats: bool = False) -> str:
    """What helps against the most frequent of these reasons. `chats`: of an agent of Python code."""
    return (REMEDIES_OF_CHATS if chats else REMEDIES)[_by_frequency(reasons)[0]]


def counts_text(reasons: Mapping[InvalidReason, int]) -> str:
    """`empty: 12, cut off: 3`, the most frequent first."""
    return ", ".join(f"{reason}: {reasons[reason]:,}" for reason in _by_frequency(reasons))


def count_reasons(steps: Iterable[StepRecord]) -> Counter[InvalidReason]:
    """The invalid answers among `steps`, by reason."""
    return Counter(reason for step in steps if (reason := invalid_reason(step)) is not None)


def _within(text: str) -> str:
    """What stands between the first `{` after any reasoning and the last `}`."""
    text = re.sub(r"^.*</think>", "", text, flags=re.DOTALL)
    return text[text.find("{") : text.rfind("}") + 1]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _by_frequency(reasons: Mapping[InvalidReason, int]) -> list[InvalidReason]:
    return sorted(reasons, key=lambda reason: (-reasons[reason], INVALID_REASONS.index(reason)))
