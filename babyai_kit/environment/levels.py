"""Any other BabyAI level of minigrid, described in the same words as the five tasks."""

from __future__ import annotations

from functools import cache
from typing import Any

import gymnasium
import minigrid.envs.babyai  # noqa: F401  (registers the levels)
from gymnasium.envs.registration import load_env_creator
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel

from babyai_kit.environment.tasks import TASKS
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import InputError, UnknownTaskError, unknown

PREFIX = "BabyAI-"


class LevelEnv(TextEnv):
    """Base of the classes that `level_class` creates; their instances can be pickled and copied."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.level_id,), self.__dict__


def level_ids() -> tuple[str, ...]:
    """Every registered id of a BabyAI level."""
    return tuple(sorted(name for name in gymnasium.registry if name.startswith(PREFIX)))


@cache
def level_class(level_id: str) -> type[LevelEnv]:
    """The text environment's class for a registered id such as "BabyAI-BossLevel-v0".

    Raises UnknownTaskError if it is not registered or not a BabyAI level.
    """
    spec = gymnasium.registry.get(level_id)
    if spec is None or not level_id.startswith(PREFIX) or spec.entry_point is None:
        raise UnknownTaskError(unknown("task", level_id, (*TASKS, *level_ids())))
    level = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    if not (isinstance(level, type) and issubclass(level, RoomGridLevel)):
        raise UnknownTaskError(f"{level_id} is not a BabyAI level; use one that derives from RoomGridLevel")
    return type(f"Text{level.__name__}", (LevelEnv, level), {"level_id": level_id})


def make_level(level_id: str, *, render_mode: str | None = None) -> LevelEnv:
    """An environment of a registered BabyAI level.

    Raises UnknownTaskError if there is none of that id or minigrid cannot build it.
    """
    text_level = level_class(level_id)
    settings = gymnasium.registry[level_id].kwargs
    try:
        return text_level(render_mode=render_mode, **settings)
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnknownTaskError(f"minigrid cannot build {level_id} ({reason}); use another level") from error


def _unpickled(level_id: str) -> LevelEnv:
    text_level = level_class(level_id)
    return text_level.__new__(text_level)
