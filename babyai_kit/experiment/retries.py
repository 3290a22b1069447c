"""The one layer that retries: which failures are tried again, how often, and after which wait.

- A call that fails again and again while others are answered is given up after `Backoff.attempts` tries.
- While nobody is answered, no call is to blame: a service that is away, loads, or limits the rate is waited
  for as long as `Patience` allows, one that fails everybody for `Backoff.outage_s`.
- Waits are random and double, so that many calls that failed together do not come back together, and are
  never shorter than the service asked for.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from babyai_kit.errors import ServiceError
from babyai_kit.experiment.patience import Backoff, Patience, asked_wait_s, asks_everybody, is_outage

OnRetry = Callable[[ServiceError], None]
"""Gets each failure that is about to be waited for."""

T = TypeVar("T")


@dataclass(frozen=True)
class Retries:
    """Calls coroutine functions until they succeed or trying again cannot help."""

    patience: Patience
    on_retry: OnRetry
    only: Callable[[ServiceError], bool]

    async def __call__(self, call: Callable[..., Awaitable[T]], *args: object) -> T:
        """The result of `call(*args)`. Raises its last failure, or what `Patience.failed` makes of it."""
        backoff, patience = self.patience.backoff, self.patience
        failures = tries = refusals = 0
        answers = patience.answers
        while True:
            try:
                result = await call(*args)
            except ServiceError as error:
                if not (error.retryable and self.only(error)):
                    raise
                failures += 1
                tries += not is_outage(error)
                refusals += patience.answers > answers and not asks_everybody(error)
                answers = patience.answers
                broken = tries >= backoff.attempts and patience.silence_s >= backoff.outage_s
                if broken or refusals >= backoff.attempts:
                    raise
                self.on_retry(error)
                patience.failed(error)
                wait_s, asked_s = random_wait_s(backoff, failures), asked_wait_s(error)
                if asked_s is not None:
                    wait_s = max(wait_s, spread(backoff, asked_s))
            else:
                patience.answered()
                return result
            await patience.sleep(wait_s)


def retrying(
    backoff: Backoff,
    on_retry: OnRetry = lambda error: None,
    *,
    only: Callable[[ServiceError], bool] = lambda error: True,
    patience: Patience | None = None,
) -> Retries:
    """Call it with a coroutine function: it is called until it succeeds or trying again cannot help.

    `only`: the failures that are tried again, if they may pass. `patience`: shared by calls of one run; one
    of its own prints what is waited for. The last failure is raised as it is.
    """
    return Retries(patience or Patience(backoff), on_retry, only)


def random_wait_s(backoff: Backoff, failures: int) -> float:
    """A random wait after so many failures in a row, from 1."""
    return random.uniform(0, min(backoff.max_wait_s, backoff.first_wait_s * 2 ** min(failures - 1, 60)))


def spread(backoff: Backoff, wait_s: float) -> float:
    """`wait_s` and a little more, at random, so that those who wait for the same moment come one by one."""
    return wait_s + random.uniform(0, min(backoff.max_wait_s, backoff.first_wait_s + wait_s / 10))
