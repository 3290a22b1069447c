"""The one layer that retries: which failures are tried again, how often, and after which wait.

Waits are random and double, so that many calls that failed together do not come back together.
- A failing model or gateway is tried `Backoff.attempts` times.
- A store that is away is waited for, however long: the gateway reads it before each call of a workflow
  evaluation, and giving up would turn an hour's outage into a table of errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from babyai_kit.errors import ServiceError, StoreError

OnRetry = Callable[[ServiceError], None]
"""Gets each failure that is about to be waited for."""


@dataclass(frozen=True)
class Backoff:
    """How often a call is tried, and the longest random wait after the first failure and at all."""

    attempts: int = 10
    first_wait_s: float = 0.25
    max_wait_s: float = 20.0


def retrying(
    backoff: Backoff,
    on_retry: OnRetry = lambda error: None,
    *,
    only: type[ServiceError] | tuple[type[ServiceError], ...] = ServiceError,
) -> AsyncRetrying:
    """Call it with a coroutine function: it is called until it succeeds or trying again cannot help.

    `only`: the failures that are tried again, if they may pass. The last failure is raised as it is.
    """

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, only) and error.retryable

    def before_sleep(state: RetryCallState) -> None:
        error = _failure(state)
        if isinstance(error, ServiceError):
            on_retry(error)

    return AsyncRetrying(
        retry=retry_if_exception(may_pass),
        wait=wait_random_exponential(multiplier=backoff.first_wait_s, max=backoff.max_wait_s),
        stop=_EnoughFailures(backoff.attempts),
        before_sleep=before_sleep,
        reraise=True,
    )


class _EnoughFailures:
    """True once a call has failed `attempts` times by anything but the store."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._failures = 0

    def __call__(self, state: RetryCallState) -> bool:
        if state.attempt_number == 1:
            self._failures = 0
        self._failures += not isinstance(_failure(state), StoreError)
        return self._failures >= self._attempts


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
