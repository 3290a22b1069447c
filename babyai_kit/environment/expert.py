"""Minigrid's expert, `BabyAIBot`.

The bot knows what an agent has seen so far, not the whole grid, so its path need not be the shortest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minigrid.core.actions import Actions
from minigrid.utils.baby_ai_bot import BabyAIBot

from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import StepOrderError, UnsupportedLevelError

MAX_SUBGOALS = 200
"""That the bot may set itself before one action; where it succeeds, it needs no more than about ten."""


class _Subgoals(list[Any]):
    """The bot's stack. In some layouts with locked doors the bot replans in circles, without end."""

    added = 0

    def append(self, subgoal: Any) -> None:
        self.added += 1
        if self.added > MAX_SUBGOALS:
            raise RecursionError("it replans in circles")
        super().append(subgoal)


def expert_actions(env: Any) -> Iterator[int]:
    """The expert's action (0..5) for the present state, one for each step until the episode ends.

        for action in expert_actions(env):
            env.step(action)

    Another action may be executed instead: the expert takes it into account. At most one step may be taken
    between two actions. Draws no random numbers and leaves the environment as it is.
    Raises StepOrderError before the first reset or past the end, UnsupportedLevelError where the bot
    gives up (it cannot solve every level, nor continue once a box was opened).
    """
    level = env.unwrapped
    if not isinstance(level, TextEnv):
        name = type(level).__name__
        raise UnsupportedLevelError(f"there is no expert for {name}; use an environment of make_env()")
    if not level.running:
        raise StepOrderError("no episode is running; call reset(seed=...) before expert_actions()")
    return _actions(level)


def _actions(level: TextEnv) -> Iterator[int]:
    bot = BabyAIBot(level)
    bot.stack = subgoals = _Subgoals(bot.stack)
    last_action: int | None = None
    while level.running:
        steps = level.step_count
        subgoals.added = 0
        try:
            action = int(bot.replan(last_action))
        except Exception as error:  # The bot has no error of its own: assertions, lookups, type errors.
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UnsupportedLevelError(
                f"minigrid's expert gave up on {level.level_id} ({reason}); use another level or seed"
            ) from error
        if action == Actions.done:
            return
        yield action
        while level.running and level.step_count == steps:
            yield action
        if level.running and level.step_count != steps + 1:
            raise StepOrderError("more than one step was taken at once; call expert_actions(env) again")
        last_action = level.last_action
