"""BALROG's BabyAI-Text on stock minigrid: levels, text, expert and shortest lengths.

Importing it registers `BabyAIText/<task>-v0` with gymnasium.
"""

from __future__ import annotations

from babyai_kit.environment.detours import needed_steps
from babyai_kit.environment.expert import expert_actions
from babyai_kit.environment.registration import REGISTERED, make_env, register
from babyai_kit.environment.shortest import shortest_length, shortest_path
from babyai_kit.environment.suites import SUITES, Suite
from babyai_kit.environment.tasks import ACTIONS, MAX_DISTRACTORS, MAX_STEPS, TASKS

__all__ = [
    "ACTIONS",
    "MAX_DISTRACTORS",
    "MAX_STEPS",
    "REGISTERED",
    "SUITES",
    "TASKS",
    "Suite",
    "expert_actions",
    "make_env",
    "needed_steps",
    "shortest_length",
    "shortest_path",
]

register()
