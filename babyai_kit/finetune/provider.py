"""Any server that speaks OpenAI's files and fine-tuning API, through the `openai` package.

No state is kept here. What answers may look like is in `job_answers`, what refusals mean in `refusals`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import openai

from babyai_kit.configuration.proxies import proxy_for, unreachable
from babyai_kit.errors import ModelError
from babyai_kit.finetune.http_client import CONNECT_S, STALL_S, AnswerTooLarge
from babyai_kit.finetune.job_answers import (
    Event,
    JobAnswer,
    parse_object,
    plain,
    read_events,
    read_job,
    read_jobs,
    shown,
)
from babyai_kit.finetune.refusals import Request, refusal, server_words, words_in
from babyai_kit.finetune.server import Server

CANCEL_RETRIES = 2
MAX_RETRY_WAIT_S = 60.0
"""Between two tries to create a job."""
_JOB_FIELDS = {"id", "status", "data"}
"""An answer without any of them is no job and no list."""


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Provider]:
    """A client of `server`, open until the block ends. Raises ConfigError for an address, a key or proxy
    variables that cannot be used."""
    async with server.client() as client:
        yield Provider(client, server)


class Provider:
    """A client of one server (see `connected`).

    Every method raises ModelError if the server refuses or cannot be reached.
    """

    def __init__(self, client: openai.AsyncOpenAI, server: Server) -> None:
        self._client, self._server = client, server

    async def upload(self, file: Path) -> str:
        """Upload a training file and return its id."""
        with self._errors("upload"):
            content = (file.name, await asyncio.to_thread(file.read_bytes), "application/jsonl")
            client = self._client.with_options(timeout=openai.Timeout(STALL_S, connect=CONNECT_S))
            answer = await client.files.with_raw_response.create(file=content, purpose="fine-tune")
            return self._id("upload", answer)

    async def create(self, request: Mapping[str, Any]) -> JobAnswer:
        """Create a job, once: a second try could be a second job, except after an answer that says that there
        is none yet."""
        client = self._client.with_options(max_retries=0)
        for attempt in range(self._server.max_retries + 1):
            try:
                with self._errors("job"):
                    answer = await client.fine_tuning.jobs.with_raw_response.create(**request)
                    self._id("job", answer)
                    return self._job("job", answer)
            except ModelError as error:
                wait_s = 2.0**attempt if error.retry_after_s is None else error.retry_after_s
                if (
                    error.kind not in ("rate limit", "loading")
                    or attempt == self._server.max_retries
                    or wait_s > MAX_RETRY_WAIT_S
                ):
                    raise
            await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    async def find(self, training_file: str) -> JobAnswer | None:
        """The job over this uploaded file, if the server lists one that was neither cancelled nor failed."""
        try:
            with self._errors("list of jobs"):
                answer = await self._client.fine_tuning.jobs.with_raw_response.list(limit=50)
                jobs = read_jobs(self._json("list of jobs", answer))
        except ModelError as error:
            if error.retryable:
                # Whether there is a job is unknown: a new one could be the second.
                raise
            # Not every server lists its jobs.
            return None
        return next(
            (
                job
                for job in jobs
                if job.training_file == training_file
                and job.job_id
                and job.outcome not in ("failed", "cancelled")
            ),
            None,
        )

    async def job(self, job_id: str) -> JobAnswer:
        with self._errors("job's status"):
            answer = await self._client.fine_tuning.jobs.with_raw_response.retrieve(job_id)
            return self._job("job's status", answer)

    async def cancel(self, job_id: str) -> JobAnswer:
        with self._errors("cancellation"):
            client = self._client.with_options(max_retries=CANCEL_RETRIES)
            return self._job("cancellation", await client.fine_tuning.jobs.with_raw_response.cancel(job_id))

    async def events(self, job_id: str, *, known: Collection[str] = (), limit: int = 1000) -> list[Event]:
        """The job's events whose keys are not `known`, oldest first, about `limit` of the newest at most;
        empty where a server has none."""
        events: list[Event] = []
        options: dict[str, Any] = {"limit": 100}
        with contextlib.suppress(ModelError):
            while len(events) < limit:
                with self._errors("list of events"):
                    jobs = self._client.fine_tuning.jobs.with_raw_response
                    page = self._json("list of events", await jobs.list_events(job_id, **options))
                rows = read_events(page, self._text)
                seen = {*known, *(event.key for event in events)}
                fresh = [event for event in rows if event.key not in seen]
                events += fresh
                # Newest come first: a page with a known event is the last with a new one.
                if not page.get("has_more") or len(fresh) < len(rows) or not rows or not rows[-1].event_id:
                    break
                options["after"] = rows[-1].event_id
        ascending = bool(events) and events[0].created_at < events[-1].created_at
        return events if ascending else events[::-1]

    def _text(self, value: Any) -> str:
        return shown(self._server.redact(plain(value)))

    def _job(self, request: Request, answer: Any) -> JobAnswer:
        return read_job(self._json(request, answer), self._text)

    def _id(self, request: Request, answer: Any) -> str:
        identifier = plain(self._json(request, answer).get("id"))
        if not identifier:
            what = "file" if request == "upload" else "job"
            raise ModelError(
                f"{self._server.address} returned no id for the {what}; check that it supports fine-tuning",
                kind="bad answer",
            )
        return identifier

    def _json(self, request: Request, answer: Any) -> dict[str, Any]:
        response = answer.http_response
        content = parse_object(response.content)
        if content is None:
            raise ModelError(
                f"{self._server.address} does not offer OpenAI's fine-tuning API; check the address",
                kind="bad answer",
            )
        if content.get("error") and not _JOB_FIELDS & content.keys():
            # Some servers refuse with status 200.
            raise self._refusal(request, response.status_code, words_in(content))
        return content

    def _refusal(
        self, request: Request, status: int, words: str, retry_after_s: float | None = None
    ) -> ModelError:
        server = self._server
        return refusal(request, server.address, status, server.redact(words), retry_after_s=retry_after_s)

    @contextlib.contextmanager
    def _errors(self, request: Request) -> Iterator[None]:
        address = self._server.address
        try:
            yield
        except openai.APIStatusError as error:
            response = error.response
            words = server_words(response.content) or response.reason_phrase
            raise self._refusal(request, error.status_code, words, _retry_after_s(response)) from None
        except AnswerTooLarge as error:
            raise ModelError(
                f"{address} sent {error}; check that it is a fine-tuning server", kind="bad answer"
            ) from None
        except openai.APITimeoutError:
            raise ModelError(
                f"{address} did not answer in time; try again later, nothing is lost",
                kind="timeout",
                retryable=True,
            ) from None
        except openai.APIConnectionError as error:
            raise self._unreachable(error.__cause__ or error) from None

    def _unreachable(self, cause: BaseException) -> ModelError:
        base_url = self._server.base_url
        reason = self._text(str(cause)) or type(cause).__name__
        what = f"{self._server.address} cannot be reached"
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return ModelError(
                f"{what} ({reason}); set SSL_CERT_FILE to the certificate of the authority that signed the "
                "server's",
                kind="connection",
                fatal=True,
            )
        if proxy_for(base_url, os.environ):
            what += "; check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
        else:
            what = unreachable(self._server.address, base_url)
        return ModelError(f"{what}, nothing is lost ({reason})", kind="connection", retryable=True)


def _retry_after_s(response: Any) -> float | None:
    """Seconds that the server asks to wait, 0 to a day; None if it says none."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 86_400 else None
