"""Environments by name, and their ids for `gymnasium.make`."""

from __future__ import annotations

import gymnasium

from babyai_kit.environment.levels import PREFIX, make_level
from babyai_kit.environment.task_env import TaskEnv
from babyai_kit.environment.tasks import TASKS
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import InputError

REGISTERED: tuple[str, ...] = tuple(f"BabyAIText/{task}-v0" for task in TASKS)
"""The ids that `gymnasium.make` knows once `babyai_kit.environment` is imported, in the order of TASKS."""


def make_env(task: str, num_dists: int = 0, render_mode: str | None = None) -> TextEnv:
    """A fresh environment, without wrappers.

    `task` is one of TASKS or a registered BabyAI level of minigrid ("BabyAI-BossLevel-v0"); `num_dists`
    (0..16) adds objects to one of the five tasks; `render_mode` is None or "rgb_array".
    Raises UnknownTaskError or InputError, each naming what is valid.
    """
    if not (isinstance(task, str) and task.startswith(PREFIX)):
        return TaskEnv(task, num_dists=num_dists, render_mode=render_mode)
    if num_dists != 0:
        raise InputError(f"{task} has a fixed number of objects; use num_dists with {', '.join(TASKS)} only")
    return make_level(task, render_mode=render_mode)


def register() -> None:
    """Register the ids with gymnasium; calling it again does no harm."""
    for task, name in zip(TASKS, REGISTERED, strict=True):
        if name not in gymnasium.registry:
            gymnasium.register(
                name, entry_point="babyai_kit.environment.task_env:TaskEnv", kwargs={"task": task}
            )
