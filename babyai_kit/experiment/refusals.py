"""What a model server refuses when it answers that a request is wrong.

Servers have no common code for "I don't know this parameter", so their words decide: the parameter's name
beside a word for not knowing it. A complaint about a value (too large, not a number) is no refusal.
"""

from __future__ import annotations

import re
from typing import Literal

from babyai_kit.configuration.dialects import OMISSIONS, Dialect, Omission
from babyai_kit.errors import ModelError, ServiceError

Refusal = Omission | Literal["answer format", "unnamed"]
"""`unnamed`: the request is refused, and nothing is said of a parameter or a model."""

_FORMAT = re.compile(
    r"response.?format|json.?(schema|object|mode)|structured|guided|grammar|output schema|"
    r"output.(config\.)?format|outputConfig|response.?(schema|mime)|tool.?(choice|use)\b|prefill",
    re.IGNORECASE,
)
_NOT_KNOWN = re.compile(
    r"unsupported|not support|n't support|only the default|un(known|recogni[sz]ed|expected)|extra|"
    r"not (permitted|allowed|implemented|available|accepted|valid)|n't allowed|forbidden|deprecated|"
    r"invalid (parameter|field|argument|request argument)|no such|remove|no endpoints found that|"
    r"(may|can) (only|not) be",
    re.IGNORECASE,
)
_NO_PARAMETER = re.compile(r"model|context|too (large|long)", re.IGNORECASE)
"""What a refused request is about where no parameter is."""
_SOME_PARAMETER = re.compile(r"requested parameters", re.IGNORECASE)
"""OpenRouter's answer where no provider takes all of them."""
_NAMES: dict[Omission, str] = {
    "seed": "seed",
    "temperature": "temperature",
    "reasoning_effort": r"reasoning[._ ]?effort",
    "thinking_budget_tokens": r"thinking[._ ]?budget\w*|budget_tokens",
    "max_completion_tokens": "max_completion_tokens",
    "max_tokens": "max_tokens",
}


def refusal(error: ServiceError, dialect: Dialect) -> Refusal | None:
    """What the server refuses of a request in `dialect`; None if `error` is of another kind.

    Only an answer that the request is wrong decides, or one of any status that names what it does not know:
    a server that is down, busy or loading a model says nothing about parameters.
    """
    if not isinstance(error, ModelError) or error.kind not in ("bad request", "server"):
        return None
    # Our own words come first.
    text = str(error).partition(": ")[2]
    unknown, wrong = _NOT_KNOWN.search(text) is not None, error.kind == "bad request"
    named = [o for o in OMISSIONS if re.search(rf"\b({_NAMES[o]})\b", text, re.IGNORECASE)]
    if unknown:
        sent = [o for o in named if o not in dialect.omitted and _is_sent(o, dialect)]
        if sent:
            return sent[0]
    if _FORMAT.search(text) and (wrong or unknown) and dialect.answer_format != "words":
        return "answer format"
    if not named and ((wrong and not _NO_PARAMETER.search(text)) or _SOME_PARAMETER.search(text)):
        return "unnamed"
    return None


def _is_sent(parameter: Omission, dialect: Dialect) -> bool:
    """False for the limit's older name while its newer one is sent."""
    return parameter != "max_tokens" or "max_completion_tokens" in dialect.omitted
