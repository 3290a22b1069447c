"""The classes of failure: a function each, whose docstring is the definition that reports print.

The conditions do not exclude each other; an episode belongs to the first class, in the order of CLASSES,
whose condition it meets. The order goes from what keeps an agent from playing at all to what is left when it
played sensibly.
"""

from __future__ import annotations

from collections.abc import Callable

from babyai_kit.failures.facts import Facts

INVALID_SHARE = 0.25
REPEATED_SHARE = 0.5


def invalid_answers(facts: Facts) -> bool:
    """At least a quarter of the answers were invalid, so the agent was moved forward instead."""
    return facts.invalid_answers >= INVALID_SHARE * facts.steps > 0


def goal_destroyed(facts: Facts) -> bool:
    """It opened a box that the mission names, which destroys the box."""
    return bool(facts.destroyed_goals)


def wrong_object(facts: Facts) -> bool:
    """It picked up an object, or destroyed a box, that the mission gives no reason to touch."""
    return bool(facts.wrong_objects)


def loop(facts: Facts) -> bool:
    """At least half of its steps repeated an earlier one: the same action in the same state."""
    return facts.repeated_steps >= REPEATED_SHARE * facts.steps > 0


def goal_not_acted_on(facts: Facts) -> bool:
    """It was shown the object that the mission still asked for, and never did with it what was asked."""
    return facts.goal_seen_steps > 0


def out_of_steps(facts: Facts) -> bool:
    """It ran out of steps before it saw the object that the mission still asked for."""
    return True


CLASSES: dict[str, Callable[[Facts], bool]] = {
    condition.__name__: condition
    for condition in (invalid_answers, goal_destroyed, wrong_object, loop, goal_not_acted_on, out_of_steps)
}
"""Conditions by class; the first that holds is the episode's class."""

LABELS = {
    "invalid_answers": "invalid answers",
    "goal_destroyed": "box of the mission destroyed",
    "wrong_object": "wrong object handled",
    "loop": "loop",
    "goal_not_acted_on": "goal seen, not acted on",
    "out_of_steps": "ran out of steps, goal not seen",
}
"""The classes in words."""


def classify(facts: Facts) -> str:
    """The class of a failed episode with these facts."""
    return next(name for name, condition in CLASSES.items() if condition(facts))
