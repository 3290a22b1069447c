"""What servers with OpenAI's fine-tuning API answer about a job, read without trust in its form.

Servers differ in their words, and every field may be missing or of another type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from babyai_kit.hostile_text import one_line, parse_json

Outcome = Literal["running", "succeeded", "failed", "cancelled"]

SUCCEEDED = ("succeeded", "success", "successful", "completed", "complete", "finished", "done")
FAILED = ("fail", "error", "expired", "rejected", "invalid")
CANCELLED = ("cancelled", "canceled", "aborted", "terminated")
MAX_SHOWN = 300
"""Characters of a server's text in a line."""

Text = Callable[[Any], str]
"""Makes a server's text safe to show: no secret, one line, no control characters."""


@dataclass(frozen=True)
class JobAnswer:
    """A job as its server describes it; empty or None where it says nothing usable."""

    job_id: str
    training_file: str
    status: str
    outcome: Outcome
    fine_tuned_model: str
    error: str
    """Why it failed."""
    trained_tokens: int | None


@dataclass(frozen=True)
class Event:
    """What happened in a job."""

    key: str
    """What tells it from all others: its id, where it has one."""
    event_id: str
    message: str
    is_error: bool
    created_at: float
    """Seconds since 1970; 0 if unknown."""


def parse_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`; None if it is none."""
    try:
        answer = parse_json(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def plain(value: Any) -> str:
    """A text or number as text; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return str(value)


def shown(value: Any) -> str:
    """A server's text, safe for a terminal: one line of MAX_SHOWN characters at most, control characters as
    symbols; "" for what is no text."""
    return one_line(plain(value), MAX_SHOWN)


def read_job(answer: Mapping[str, Any], text: Text = shown) -> JobAnswer:
    outcome = _outcome(answer)
    return JobAnswer(
        job_id=plain(answer.get("id")),
        training_file=plain(answer.get("training_file")),
        status=text(answer.get("status")),
        outcome=outcome,
        fine_tuned_model=shown(answer.get("fine_tuned_model")),
        error=text(_failure_reason(answer)) if outcome == "failed" else "",
        trained_tokens=_count(answer.get("trained_tokens")),
    )


def read_jobs(page: Mapping[str, Any]) -> list[JobAnswer]:
    return [read_job(row) for row in _rows(page)]


def read_events(page: Mapping[str, Any], text: Text = shown) -> list[Event]:
    """The events on a page, in its order."""
    return [
        Event(
            key=plain(row.get("id")) or f"{plain(row.get('created_at'))} {plain(row.get('message'))}",
            event_id=plain(row.get("id")),
            message=text(row.get("message")),
            is_error=row.get("level") == "error",
            created_at=_number(row.get("created_at")) or 0.0,
        )
        for row in _rows(page)
    ]


def _rows(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = page.get("data")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _outcome(job: Mapping[str, Any]) -> Outcome:
    """ "running" for any status that is not known to be an end."""
    status = plain(job.get("status")).lower().removeprefix("job_state_")
    if status.startswith(FAILED):
        return "failed"
    if status in CANCELLED:
        return "cancelled"
    if status in SUCCEEDED or (plain(job.get("fine_tuned_model")) and job.get("finished_at")):
        return "succeeded"
    return "running"


def _failure_reason(job: Mapping[str, Any]) -> str:
    error = job.get("error")
    if isinstance(error, Mapping):
        return plain(error.get("message")) or plain(error.get("code"))
    return plain(error)


def _number(value: Any) -> float | None:
    """A finite number, also one that is written as text."""
    try:
        number = float(plain(value))
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 and number.is_integer() else None
