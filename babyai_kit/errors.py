"""The whole error model: what can go wrong, and whose fault it is.

Knows the kinds of failure and nothing of how they arise. The one rule behind the types: a failure of
the model, the gateway or the store is never the agent's behaviour. What the agent does wrong (an
invalid answer, a missed goal) is data and raises nothing.

Every message is one line that ends with the remedy.
"""

from __future__ import annotations

import gymnasium.error


class KitError(Exception):
    """Base of every error the kit raises on purpose."""


class InputError(KitError, ValueError):
    """Bad input from the caller, told before anything runs or is paid for."""


class UnknownTaskError(InputError):
    """A task or level id that does not exist or cannot be built."""


class InvalidActionError(InputError):
    """An action outside the environment's action space."""


class InvalidSeedError(InputError, gymnasium.error.Error):
    """A seed that is not a Python int >= 0."""


class UnknownBaselineError(InputError):
    """A baseline that no agent of the table, or more than one, goes by."""


class NoSharedSeedsError(InputError):
    """Agents that were played on different seeds and can't be paired."""


class StepOrderError(KitError, gymnasium.error.ResetNeeded):
    """step() before reset() or past the end of the episode."""


class UnsupportedLevelError(InputError):
    """A question (shortest length, expert) that the level has no answer to."""


class NoEpisodeError(InputError):
    """An episode that the run does not hold."""


class ConfigError(InputError):
    """Settings, TOML or templates that cannot work together."""


class ServiceError(KitError):
    """A service between the agent and its answer failed; the agent did nothing wrong.

    `kind` names the failure in reports. `retryable`: the same call may succeed later. `fatal`: no call of
    this run can succeed until the user mends something.
    """

    def __init__(
        self, message: str, *, kind: str = "other", retryable: bool = False, fatal: bool = False
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable
        self.fatal = fatal


class ModelError(ServiceError):
    """The model's server failed."""


class GatewayError(ServiceError):
    """The TensorZero gateway failed or cannot be reached."""


class StoreError(ServiceError):
    """ClickHouse failed, refused, or cannot be reached."""


class JournalError(KitError):
    """The run on disk cannot be read or written, or belongs to another process."""


class BudgetReached(KitError):
    """The run's budget is spent; nothing failed."""
