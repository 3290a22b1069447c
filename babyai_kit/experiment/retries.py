"""The one layer that retries: which failures are tried again, how often, and after which wait.

Knows the types of error; nothing of calls. Waits are random and double, so that many calls that failed
together do not come back together.
- A failing model or gateway is tried ATTEMPTS times.
- A store that is away is waited for, however long: the gateway reads it before each call of a workflow
  evaluation, and to give up would turn an hour's outage into a table of errors.
"""

from __future__ import annotations

from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from babyai_kit.errors import ServiceError, StoreError

ATTEMPTS = 10
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 20


def retrying(
    told: Callable[[ServiceError], None] = lambda error: None, *, only: str | None = None
) -> AsyncRetrying:
    """Call it with a coroutine function: it is called until it succeeds or trying again cannot help.

    `told` gets each failure that is about to be waited for. `only`: the one kind of failure that is tried
    again; None: every one that may pass. The last failure is raised as it is.
    """

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, ServiceError) and error.retryable and only in (None, error.kind)

    def tell(state: RetryCallState) -> None:
        error = _failure(state)
        if isinstance(error, ServiceError):
            told(error)

    return AsyncRetrying(
        retry=retry_if_exception(may_pass),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
        stop=_EnoughFailures(),
        before_sleep=tell,
        reraise=True,
    )


class _EnoughFailures:
    """True once a call has failed ATTEMPTS times by anything but the store."""

    def __init__(self) -> None:
        self._failures = 0

    def __call__(self, state: RetryCallState) -> bool:
        if state.attempt_number == 1:
            self._failures = 0
        self._failures += not isinstance(_failure(state), StoreError)
        return self._failures >= ATTEMPTS


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
