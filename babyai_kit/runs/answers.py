"""Why an answer was not valid: what kinds of wrong answers there are, told from a recorded step.

Nothing is salvaged from such an answer; the kinds only say what to do about many of one kind.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, get_args

from babyai_kit.runs.records import StepRecord

InvalidReason = Literal["cut off", "refused", "empty", "wrapped", "unknown action", "another form"]
"""What is wrong with an answer.

cut off: it used up max_tokens. refused: the model or a content filter declined. empty: no text. wrapped: a
JSON object stands in it, beside other text (`<think>`, a code fence, prose). unknown action: JSON as asked
for, with an action that does not exist. another form: anything else.
"""

REMEDIES: dict[InvalidReason, str] = {
    "cut off": "raise max_tokens, or lower the model's reasoning effort",
    "refused": "read the answers; another model or prompt may not be refused",
    "empty": "check the model's chat template and its server's log",
    "wrapped": "serve the model with JSON mode or a reasoning parser, so that the answer is JSON alone",
    "unknown action": "read the answers; the model does not follow the list of actions",
    "another form": "serve the model with JSON mode, or use a model that follows instructions",
}
"""What helps against many invalid answers of one kind."""


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
    if isinstance(_json(text), dict):
        return "unknown action"
    return "wrapped" if isinstance(_json(_within(text)), dict) else "another form"


def _within(text: str) -> str:
    """What stands between the first `{` after any reasoning and the last `}`."""
    text = re.sub(r"^.*</think>", "", text, flags=re.DOTALL)
    return text[text.find("{") : text.rfind("}") + 1]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


INVALID_REASONS: tuple[InvalidReason, ...] = get_args(InvalidReason)
