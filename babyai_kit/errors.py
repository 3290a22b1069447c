"""The whole error model: what can go wrong, and whose fault it is.

The one rule behind the types: a failure of the model, the gateway or the store is never the agent's
behaviour. What the agent does wrong (an invalid answer, a missed goal) is data and raises nothing.

Every message is one line that ends with the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

import gymnasium.error

ErrorKind = Literal[
    "agent",
    "bad answer",
    "bad request",
    "closed",
    "connection",
    "fine-tuning",
    "gateway",
    "key refused",
    "loading",
    "other",
    "quota",
    "rate limit",
    "refused",
    "server",
    "store",
    "timeout",
    "unknown function",
    "unsupported",
]
"""What failed, as reports count it."""

FATAL_KINDS: frozenset[ErrorKind] = frozenset({"key refused", "quota"})
"""No call succeeds until the user pays or corrects a key."""


class KitError(Exception):
    """Base of every error the kit raises on purpose."""


class InputError(KitError, ValueError):
    """Bad input from the caller, reported before anything runs or is paid for."""


class UnknownTaskError(InputError):
    """A task or level id that does not exist or cannot be built."""


class InvalidActionError(InputError):
    """An action outside the environment's action space."""


class InvalidSeedError(InputError, gymnasium.error.Error):
    """A seed that is not a Python int >= 0."""


class UnknownBaselineError(InputError):
    """A baseline that matches no agent of the table, or more than one."""


class NoSharedSeedsError(InputError):
    """Agents that played different seeds and cannot be paired."""


class StepOrderError(KitError, gymnasium.error.ResetNeeded):
    """step() before reset() or past the end of the episode."""


class UnsupportedLevelError(InputError):
    """A question (shortest length, expert) that has no answer for this level."""


class NoEpisodeError(InputError):
    """An episode that the run does not hold."""


class ConfigError(InputError):
    """Settings, TOML or templates that cannot work together."""


class FileWriteError(InputError):
    """A file that cannot be written where it was asked for."""


class ServiceError(KitError):
    """A service between the agent and its answer failed; the agent did nothing wrong.

    `kind` names the failure in reports. `retryable`: the same call may succeed later. `fatal`: no call of
    this run can succeed until the user fixes something. `retry_after_s`: seconds to wait before the next
    try, where the service said so.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind = "other",
        retryable: bool = False,
        fatal: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.fatal = fatal or kind in FATAL_KINDS
        self.retryable = retryable and not self.fatal
        self.retry_after_s = retry_after_s


class ModelError(ServiceError):
    """The model's server failed."""


class RateLimited(ModelError):
    """The model's server accepts fewer calls than were sent (429)."""

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind = "rate limit",
        retryable: bool = True,
        fatal: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, retryable=retryable, fatal=fatal, retry_after_s=retry_after_s)


class ModelLoading(ModelError):
    """The model's server is there and its model not ready yet."""

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind = "loading",
        retryable: bool = True,
        fatal: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, retryable=retryable, fatal=fatal, retry_after_s=retry_after_s)


class AgentError(ServiceError):
    """The code of an agent raised an exception: its author's mistake, and not what the model did."""

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind = "agent",
        retryable: bool = False,
        fatal: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, retryable=retryable, fatal=fatal, retry_after_s=retry_after_s)


class GatewayError(ServiceError):
    """The TensorZero gateway failed or cannot be reached."""


class GatewayAway(GatewayError):
    """The gateway is not there for a while, as when it is restarted."""

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind = "gateway",
        retryable: bool = True,
        fatal: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, retryable=retryable, fatal=fatal, retry_after_s=retry_after_s)


class StoreError(ServiceError):
    """ClickHouse failed, refused, or cannot be reached."""


class NoValidAnswers(KitError):
    """Many answers and not one of them valid: the run was stopped, since the remedy is the user's."""


class JournalError(KitError):
    """The run on disk cannot be read or written, or belongs to another process."""


class ReplayError(JournalError):
    """The environment does not repeat a recorded step.

    `what`: which step, and what is different. `recorded`: the step as it was recorded.
    """

    def __init__(self, what: str, recorded: object) -> None:
        super().__init__(
            f"{what}. The journal was changed there or before, or another version of the environment "
            "recorded it; install the versions named in its run.json, restore the journal, or use a new run "
            "name"
        )
        self.what, self.recorded = what, recorded


class BudgetReached(KitError):
    """The budget of the run, or of its model `model`, is spent; nothing failed."""

    def __init__(self, message: str, model: str = "") -> None:
        super().__init__(message)
        self.model = model


MAX_CHOICES = 15
"""Names that a message lists."""


def unknown(what: str, name: object, choices: Iterable[str]) -> str:
    """The message for a `name` that is none of `choices`: `unknown task 'gotoo'; did you mean 'goto'? There
    are: goto, pickup, open`."""
    return f"unknown {what} {name!r}; {what_there_is(name, choices)}"


def what_there_is(name: object, choices: Iterable[str]) -> str:
    """The one of `choices` that was probably meant by `name`, and what there is."""
    names = list(choices)
    close = difflib.get_close_matches(str(name).lower(), [choice.lower() for choice in names], n=1)
    meant = next((choice for choice in names if close and choice.lower() == close[0]), None)
    listed = ", ".join(names[:MAX_CHOICES]) + (", ..." if len(names) > MAX_CHOICES else "")
    return f"did you mean {meant!r}? There are: {listed}" if meant else f"choose from {listed}"


def show_in_one_line(error: BaseException, line: str) -> None:
    """Let a notebook show `line` for `error` and not a traceback; an earlier line stays."""
    if not hasattr(error, "_render_traceback_"):  # IPython's name for this
        error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]
