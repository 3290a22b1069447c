"""Action sequences that get somewhere: chosen at random, with the expert's advice in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from babyai_kit.environment import ACTIONS, TASKS, expert_actions
from babyai_kit.errors import UnsupportedLevelError

PICK_UP, DROP, TOGGLE = (ACTIONS.index(name) for name in ("pick up", "drop", "toggle"))
ADVICE = len(ACTIONS)
"""The choice to do as the expert says."""

# Turning about in place teaches little: half of the moves go forward or handle something. Random moves
# alone hardly ever finish `open`, `putnext` or the sequence.
choices = st.one_of(
    st.lists(st.sampled_from([0, 1, 2, 2, 2, 3, 3, 4, 5]), min_size=30, max_size=130),
    st.lists(st.sampled_from([0, 1, 2, 3, 3, 4, 5, *[ADVICE] * 7]), min_size=30, max_size=130),
)
episodes = st.tuples(st.sampled_from(TASKS), st.sampled_from([0, 0, 1, 3, 8]), st.integers(0, 2**70), choices)
"""Task, num_dists, seed, choices."""


def play(env: Any, choices: Sequence[int]) -> Iterator[int]:
    """The action for each choice, until the episode ends; the caller executes it before the next."""
    expert = expert_actions(env)
    for choice in choices:
        action = 2
        with suppress(UnsupportedLevelError):  # It cannot go on once a box was opened.
            action = next(expert, action)
        yield action if choice == ADVICE else choice
        if not env.running:
            return
