"""What servers with OpenAI's fine-tuning API answer about a job: its outcome, why it failed, its events.

Servers differ in their words, and every field may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUCCEEDED = ("succeeded", "success", "completed", "complete", "finished")
FAILED = ("failed", "error", "errored", "expired")
CANCELLED = ("cancelled", "canceled")


def event_key(event: Mapping[str, Any]) -> str:
    """What tells an event from all others: its id, where it has one."""
    return str(event.get("id") or (event.get("created_at"), event.get("message")))


def one_line(text: Any) -> str:
    """A server's text, safe for a terminal: one line without control characters; "" for none."""
    line = " ".join(str(text or "").split())
    return "".join(c for c in line if c.isprintable())


def outcome(job: Mapping[str, Any]) -> str:
    """ "succeeded", "failed" or "cancelled"; "running" for any other status."""
    status = str(job.get("status") or "").lower()
    if status in FAILED:
        return "failed"
    if status in CANCELLED:
        return "cancelled"
    if status in SUCCEEDED or (job.get("fine_tuned_model") and job.get("finished_at")):
        return "succeeded"
    return "running"


def failure_reason(job: Mapping[str, Any]) -> str:
    """Why a job failed, as far as the server says; "" if it does not."""
    error = job.get("error")
    if isinstance(error, Mapping):
        return one_line(error.get("message") or error.get("code"))
    return one_line(error)
