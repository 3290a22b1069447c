"""Any server that speaks OpenAI's files and fine-tuning API, through the `openai` package.

Knows the protocol, and that servers differ in it: answers are read as JSON with every field optional,
since only an id and, in time, a status are sure to come. Keeps no state; nothing of examples.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from babyai_kit.errors import ModelError

SUCCEEDED = ("succeeded", "success", "completed", "complete", "finished")
FAILED = ("failed", "error", "errored", "expired")
CANCELLED = ("cancelled", "canceled")
POLL_RETRIES = 6
"""Of asking, with the package's growing waits and the server's Retry-After; creating a job is not retried."""
TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Server:
    """Where fine-tuning is done."""

    base_url: str
    """Like `https://api.openai.com/v1/`."""
    api_key: str = field(default="", repr=False)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Provider]:
        """A provider to ask, for the duration of the block."""
        async with openai.AsyncOpenAI(
            base_url=self.base_url,
            # The package insists on a key; servers that need none ignore it.
            api_key=self.api_key or "none",
            max_retries=POLL_RETRIES,
            timeout=TIMEOUT_S,
        ) as client:
            yield Provider(client, self)


class Provider:
    """Made by `Server.connected`. Every method raises ModelError if the server refuses or is away."""

    def __init__(self, client: openai.AsyncOpenAI, server: Server) -> None:
        self._client, self._server = client, server

    async def upload(self, file: Path) -> str:
        """Upload a training file; its id."""
        with self._errors("upload"):
            content = (file.name, await asyncio.to_thread(file.read_bytes), "application/jsonl")
            client = self._client.with_options(timeout=UPLOAD_TIMEOUT_S)
            answer = await client.files.with_raw_response.create(file=content, purpose="fine-tune")
            return self._id(answer.http_response, "file")

    async def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Create a job, once: a second try could be a second job."""
        with self._errors("job"):
            client = self._client.with_options(max_retries=0)
            answer = await client.fine_tuning.jobs.with_raw_response.create(**request)
            job = self._json(answer.http_response)
            self._id(answer.http_response, "job")
            return job

    async def find(self, training_file: str) -> dict[str, Any] | None:
        """A job over this uploaded file, if the server lists one that has not failed."""
        try:
            with self._errors("list of jobs"):
                answer = await self._client.fine_tuning.jobs.with_raw_response.list(limit=50)
                jobs = self._json(answer.http_response).get("data") or []
        except ModelError:
            # Not every server lists its jobs.
            return None
        return next(
            (
                job
                for job in jobs
                if isinstance(job, dict)
                and job.get("training_file") == training_file
                and job.get("id")
                and outcome(job) not in ("failed", "cancelled")
            ),
            None,
        )

    async def job(self, job_id: str) -> dict[str, Any]:
        with self._errors("job"):
            answer = await self._client.fine_tuning.jobs.with_raw_response.retrieve(job_id)
            return self._json(answer.http_response)

    async def cancel(self, job_id: str) -> dict[str, Any]:
        with self._errors("cancellation"):
            client = self._client.with_options(max_retries=2)
            answer = await client.fine_tuning.jobs.with_raw_response.cancel(job_id)
            return self._json(answer.http_response)

    async def events(
        self, job_id: str, *, known: Collection[str] = (), most: int = 1000
    ) -> list[dict[str, Any]]:
        """The job's events that are not `known` (see `event_key`), oldest first, at most about `most` of the
        newest; empty where a server has none."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        try:
            while len(found) < most:
                with self._errors("events"):
                    page = {"limit": 100} | ({"after": after} if after else {})
                    jobs = self._client.fine_tuning.jobs.with_raw_response
                    answer = self._json((await jobs.list_events(job_id, **page)).http_response)  # type: ignore[arg-type]
                rows = [row for row in answer.get("data") or [] if isinstance(row, dict)]
                seen = {*known, *map(event_key, found)}
                fresh = [row for row in rows if event_key(row) not in seen]
                found += fresh
                after = rows[-1].get("id") if rows else None
                # Newest come first: a page with a known one is the last with a new one.
                if not answer.get("has_more") or len(fresh) < len(rows) or not after:
                    break
        except ModelError:
            if not found:
                return []
        first, last = (row.get("created_at") or 0 for row in (found[0], found[-1])) if found else (0, 0)
        return found if first < last else found[::-1]

    def _json(self, response: Any) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ModelError(
                f"{self._server.base_url} does not speak OpenAI's fine-tuning API; check the address",
                kind="bad answer",
            )
        return answer

    def _id(self, response: Any, what: str) -> str:
        found = self._json(response).get("id")
        if not isinstance(found, str) or not found:
            raise ModelError(
                f"{self._server.base_url} gave the {what} no id; check that it can fine-tune",
                kind="bad answer",
            )
        return found

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            reason = self._redact(_said(error))
            denied = error.status_code in (401, 403)
            remedy = "check OPENAI_API_KEY" if denied else "mend what it names and launch again"
            passing = error.status_code in (408, 409, 429) or error.status_code >= 500
            if passing:
                remedy = "try again later, nothing is lost"
            raise ModelError(
                f"the {what} was refused (status {error.status_code}: {reason}); {remedy}",
                kind="key refused" if denied else "server" if passing else "refused",
                fatal=denied,
                retryable=passing,
            ) from None
        except openai.APIConnectionError as error:
            reason = self._redact(str(error.__cause__ or error))
            raise ModelError(
                f"{self._server.base_url} cannot be reached ({reason}); check that it runs, nothing is lost",
                kind="connection",
                retryable=True,
            ) from None

    def _redact(self, text: str) -> str:
        text = one_line(text)[:500]
        return text.replace(self._server.api_key, "***") if self._server.api_key else text


def event_key(event: Mapping[str, Any]) -> str:
    """What makes an event this one; its id, where it has one."""
    return str(event.get("id") or (event.get("created_at"), event.get("message")))


def one_line(text: Any) -> str:
    """A server's words for a terminal: one line, nothing that steers it; "" for none."""
    words = " ".join(str(text or "").split())
    return "".join(c for c in words if c.isprintable())


def outcome(job: Mapping[str, Any]) -> str:
    """ "succeeded", "failed", "cancelled" or "running" for whatever else a server says."""
    status = str(job.get("status") or "").lower()
    if status in FAILED:
        return "failed"
    if status in CANCELLED:
        return "cancelled"
    if status in SUCCEEDED or (job.get("fine_tuned_model") and job.get("finished_at")):
        return "succeeded"
    return "running"


def reason(job: Mapping[str, Any]) -> str:
    """Why a job failed, as far as it says; "" if it does not."""
    error = job.get("error")
    if isinstance(error, Mapping):
        return one_line(error.get("message") or error.get("code"))
    return one_line(error)


def _said(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        said = inner.get("message") if isinstance(inner, Mapping) else inner
        if said:
            return str(said)
    return error.response.reason_phrase or "no reason given"
