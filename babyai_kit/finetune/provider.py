"""Any server that speaks OpenAI's files and fine-tuning API, through the `openai` package.

Servers differ in how they speak it, so answers are read as JSON with every field optional: only an id and,
in time, a status are sure to come. No state is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from babyai_kit.errors import ErrorKind, ModelError
from babyai_kit.finetune.job_answers import event_key, one_line, outcome

CANCEL_RETRIES = 2
TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Server:
    """Where fine-tuning is done."""

    base_url: str
    """Like `https://api.openai.com/v1/`."""
    api_key: str = field(default="", repr=False)
    max_retries: int = 6
    """Of every question, with the package's growing waits and the server's Retry-After. Creating a job is
    not retried."""

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Provider]:
        """A client of the server, open until the block ends."""
        async with openai.AsyncOpenAI(
            base_url=self.base_url,
            # The package insists on a key; servers that need none ignore it.
            api_key=self.api_key or "none",
            max_retries=self.max_retries,
            timeout=TIMEOUT_S,
        ) as client:
            yield Provider(client, self)


class Provider:
    """A client of one server (see `Server.connected`).

    Every method raises ModelError if the server refuses or cannot be reached.
    """

    def __init__(self, client: openai.AsyncOpenAI, server: Server) -> None:
        self._client, self._server = client, server

    async def upload(self, file: Path) -> str:
        """Upload a training file and return its id."""
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
        """The job over this uploaded file, if the server lists one that was neither cancelled nor failed."""
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
            client = self._client.with_options(max_retries=CANCEL_RETRIES)
            answer = await client.fine_tuning.jobs.with_raw_response.cancel(job_id)
            return self._json(answer.http_response)

    async def events(
        self, job_id: str, *, known: Collection[str] = (), limit: int = 1000
    ) -> list[dict[str, Any]]:
        """The job's events that are not `known` (see `event_key`), oldest first, about `limit` of the newest
        at most; empty where a server has none."""
        events: list[dict[str, Any]] = []
        after: str | None = None
        with contextlib.suppress(ModelError):
            while len(events) < limit:
                page = await self._events_page(job_id, after)
                rows = [row for row in page.get("data") or [] if isinstance(row, dict)]
                seen = {*known, *map(event_key, events)}
                fresh = [row for row in rows if event_key(row) not in seen]
                events += fresh
                after = rows[-1].get("id") if rows else None
                # Newest come first: a page with a known event is the last with a new one.
                if not page.get("has_more") or len(fresh) < len(rows) or not after:
                    break
        times = [event.get("created_at") or 0 for event in events]
        return events if times and times[0] < times[-1] else events[::-1]

    async def _events_page(self, job_id: str, after: str | None) -> dict[str, Any]:
        options: dict[str, Any] = {"limit": 100}
        if after:
            options["after"] = after
        with self._errors("list of events"):
            jobs = self._client.fine_tuning.jobs.with_raw_response
            return self._json((await jobs.list_events(job_id, **options)).http_response)

    def _json(self, response: Any) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ModelError(
                f"{self._server.base_url} does not offer OpenAI's fine-tuning API; check the address",
                kind="bad answer",
            )
        return answer

    def _id(self, response: Any, what: str) -> str:
        identifier = self._json(response).get("id")
        if not isinstance(identifier, str) or not identifier:
            raise ModelError(
                f"{self._server.base_url} returned no id for the {what}; check that it supports fine-tuning",
                kind="bad answer",
            )
        return identifier

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            denied = error.status_code in (401, 403)
            passing = error.status_code in (408, 409, 429) or error.status_code >= 500
            kind: ErrorKind
            if denied:
                kind, remedy = "key refused", "check OPENAI_API_KEY"
            elif passing:
                kind = "rate limit" if error.status_code == 429 else "server"
                remedy = "try again later, nothing is lost"
            else:
                kind, remedy = "refused", "fix the cause and launch again"
            reason = self._redact(_message(error))
            raise ModelError(
                f"the {what} was refused (status {error.status_code}: {reason}); {remedy}",
                kind=kind,
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


def _message(error: openai.APIStatusError) -> str:
    if isinstance(error.body, Mapping):
        content = error.body.get("error", error.body)
        message = content.get("message") if isinstance(content, Mapping) else content
        if message:
            return str(message)
    return error.response.reason_phrase or "no reason given"
