"""What it means when a fine-tuning server refuses: whose it is, whether waiting helps, what to do.

Providers share the status codes and little else, so a few words of their messages decide too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from babyai_kit.errors import ErrorKind, ModelError, ModelLoading, RateLimited
from babyai_kit.finetune.job_answers import parse_object, plain, shown
from babyai_kit.waiting_times import seconds_in

Request = Literal["upload", "job", "list of jobs", "job's status", "cancellation", "list of events"]
"""What was asked for: `job` is the creation of one."""

ELSEWHERE = (
    "fine-tune at another server (OPENAI_BASE_URL) or on this machine (AGENT_MODEL=smollm2-135m, "
    "without OPENAI_API_KEY and OPENAI_BASE_URL); see docs/fine-tuning.md"
)
_NO_CREDIT = re.compile(
    r"insufficient.?(quota|funds|balance|credit)|credit balance|out of credit|payment required", re.IGNORECASE
)
_LIMIT = re.compile(r"exceeded your current quota|billing", re.IGNORECASE)
"""Some providers use these words for a limit that comes back, and then say when."""
_NO_FILE = re.compile(
    r"no such file|file\b.{0,80}(not found|does not exist|unknown|expired|deleted)", re.IGNORECASE
)
_KEY = re.compile(r"api.?key|\bkey\b|\bscopes?\b|credential|authenticat|invalid.?token", re.IGNORECASE)
_CLOSED = re.compile(
    r"(fine.?tun|training).*(not (yet |currently )?(available|offered|possible|supported|enabled|open)|"
    r"no longer|unavailable|disabled|deprecated|discontinued|closed|retired|sunset|ended|wound down|"
    r"winding down)|no longer.*(fine.?tun|training)",
    re.IGNORECASE | re.DOTALL,
)
_NOT_READY = re.compile(
    r"not (yet )?(ready|processed)|still (being )?process|is being processed", re.IGNORECASE
)
_MAX_READ = 2000
"""Characters of a message that decide."""
_NO_ROUTE = re.compile(r"unexpected endpoint|unknown (url|endpoint|path|route)|no route", re.IGNORECASE)


def server_words(body: bytes) -> str:
    """The server's own message in the body of a refusal, with its code if it has one; "" if there is none.

    A page of HTML is no message.
    """
    answer = parse_object(body)
    if answer is not None:
        return words_in(answer)
    text = body.decode("utf-8", "replace").strip()
    return "" if text[:1] in ("", "<", "{", "[") else text


def words_in(answer: Mapping[str, Any]) -> str:
    """The message in an `answer` that is an error, in the forms that servers use."""
    error = next((answer[name] for name in ("error", "detail", "errors", "message") if answer.get(name)), "")
    if isinstance(error, list):
        error = error[0] if error else ""
    if not isinstance(error, Mapping):
        return plain(error)
    message = next((m for name in ("message", "msg", "detail") if (m := plain(error.get(name)))), "")
    codes = [code for name in ("code", "type") if (code := plain(error.get(name)))]
    return f"{message or ' '.join(codes)}" + (f" ({codes[0]})" if message and codes else "")


def is_quota(status: int, words: str) -> bool:
    """True if the account has no money left, which no waiting mends."""
    words = words[:_MAX_READ]
    spent = _NO_CREDIT.search(words) or (_LIMIT.search(words) and seconds_in(words) is None)
    return status == 402 or (400 <= status < 500 and bool(spent))


def is_final(status: int, words: str) -> bool:
    """True for an answer that looks passing by its `status` and is not."""
    return status == 501 or is_quota(status, words)


def refusal(
    request: Request, server: str, status: int, words: str, *, retry_after_s: float | None = None
) -> ModelError:
    """The error for an answer with `status`. `server`: its address; `words`: its message, without secrets;
    `retry_after_s`: seconds, where a header of the server names them; its words may, too."""
    what = f"the {request} was refused (status {status}: {shown(words) or 'no reason given'})"
    words = words[:_MAX_READ]
    if retry_after_s is None:
        retry_after_s = seconds_in(words)
    launching = request in ("upload", "job")
    closed = bool(_CLOSED.search(words))
    no_route = status in (404, 405, 501) or bool(_NO_ROUTE.search(words))

    def fatal(kind: ErrorKind, remedy: str) -> ModelError:
        return ModelError(f"{what}; {remedy}", kind=kind, fatal=True)

    if is_quota(status, words):
        return fatal(
            "quota",
            "the account has no credit left: add credit or raise its billing limit at the provider, then "
            "launch again",
        )
    if status == 401 or (status == 403 and not closed and (_KEY.search(words) or not launching)):
        return fatal("key refused", "check OPENAI_API_KEY and what it permits")
    if status in (403, 410):
        return fatal("refused", f"{server} does not let this account fine-tune: {ELSEWHERE}")
    if request == "job" and 400 <= status < 500 and _NO_FILE.search(words):
        return ModelError(
            f"{what}; move job.json away and launch again, so that the files are uploaded anew",
            kind="refused",
        )
    if launching and (closed or no_route) and "model" in words.lower() and status < 500:
        return fatal("refused", f"name a base that {server} fine-tunes (--model), or {ELSEWHERE}")
    if closed and status < 500:
        return fatal("refused", f"{server} does not let this account fine-tune: {ELSEWHERE}")
    if launching and no_route:
        return fatal("unsupported", f"{server} has no files and fine-tuning API: {ELSEWHERE}")
    if request == "job" and 400 <= status < 500 and _NOT_READY.search(words):
        return ModelLoading(f"{what}; launch again once the files are ready", retry_after_s=retry_after_s)
    if status == 429:
        return RateLimited(f"{what}; try again later, nothing is lost", retry_after_s=retry_after_s)
    if status in (408, 409, 425) or (status >= 500 and status != 501):
        return ModelError(
            f"{what}; try again later, nothing is lost",
            kind="server",
            retryable=True,
            retry_after_s=retry_after_s,
        )
    return ModelError(f"{what}; {_remedy(status)}", kind="refused")


def _remedy(status: int) -> str:
    if status == 404:
        return "check that OPENAI_BASE_URL and OPENAI_API_KEY are those of the launch"
    if status == 407:
        return "put the proxy's user name and password into HTTPS_PROXY"
    if status == 413:
        return "lower --max-per-task and launch again"
    return "fix the cause and launch again"
