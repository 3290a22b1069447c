"""Named sets of tasks: BALROG's five, the same among distractors, levels of several rooms, and sequences.

The levels are minigrid's, of those that its expert can carry out. docs/suites.md has what the expert and
random actions reach, as measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from babyai_kit.environment.tasks import TASKS
from babyai_kit.errors import InputError, unknown


@dataclass(frozen=True)
class Suite:
    """Tasks that are played together, the easier first."""

    name: str
    tasks: tuple[str, ...]
    """Of TASKS, or ids of minigrid's levels."""
    num_dists: int
    """Distracting objects in each of TASKS; levels have a number of their own."""
    sentence: str
    """What it asks of an agent."""

    def filled(
        self, tasks: Iterable[str] | None = None, num_dists: int | None = None
    ) -> tuple[Iterable[str], int]:
        """`tasks` and `num_dists`, those of the suite where they are None."""
        return (
            self.tasks if tasks is None else tasks,
            self.num_dists if num_dists is None else num_dists,
        )


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("balrog", TASKS, 0, "BALROG's five tasks: one room or two, no distracting objects."),
        Suite("distractors", TASKS, 8, "The same five tasks among eight more objects, some of them alike."),
        Suite(
            "rooms",
            (
                "BabyAI-UnlockPickup-v0",
                "BabyAI-BlockedUnlockPickup-v0",
                "BabyAI-GoToObjMazeS4-v0",
                "BabyAI-KeyCorridorS3R3-v0",
                "BabyAI-GoTo-v0",
                "BabyAI-UnblockPickup-v0",
                "BabyAI-GoToImpUnlock-v0",
                "BabyAI-BossLevel-v0",
            ),
            0,
            "Two to nine rooms behind closed, locked and blocked doors.",
        ),
        Suite(
            "long",
            (
                "pick_up_seq_go_to",
                "BabyAI-OpenTwoDoors-v0",
                "BabyAI-MoveTwoAcrossS5N2-v0",
                "BabyAI-MoveTwoAcrossS8N9-v0",
                "BabyAI-GoToSeqS5R2-v0",
                "BabyAI-MiniBossLevel-v0",
                "BabyAI-GoToSeq-v0",
                "BabyAI-SynthSeq-v0",
            ),
            0,
            "Missions of up to four parts, most in an order that must be kept.",
        ),
    )
}
"""The suites by name."""

DEFAULT_SUITE = "balrog"


def find_suite(name: str) -> Suite:
    """The suite called `name`. Raises InputError that names those there are."""
    if not isinstance(name, str) or name not in SUITES:
        raise InputError(unknown("suite", name, SUITES))
    return SUITES[name]


def suite_of(tasks: Iterable[str], num_dists: Iterable[int]) -> Suite | None:
    """The suite whose tasks, played with its number of distractors, these are; None if there is none."""
    played, counts = set(tasks), set(num_dists)
    fitting = (s for s in SUITES.values() if set(s.tasks) == played and {s.num_dists} == counts)
    return next(fitting, None)


def tasks_and_distractors(
    suite: str | None = None, tasks: Iterable[str] | None = None, num_dists: int | None = None
) -> tuple[Iterable[str], int]:
    """The tasks and the number of distractors of a plan that names a suite or these, or nothing: "balrog".

    Raises InputError for an unknown suite, and for one that is given together with other tasks or another
    num_dists than its own.
    """
    if suite is None:
        return SUITES[DEFAULT_SUITE].filled(tasks, num_dists)
    chosen = find_suite(suite)
    if tasks is not None and (isinstance(tasks, str) or set(tasks) != set(chosen.tasks)):
        raise InputError(f"the suite {suite!r} has its own tasks; give suite or tasks, not both")
    if num_dists is not None and num_dists != chosen.num_dists:
        raise InputError(
            f"the suite {suite!r} has num_dists {chosen.num_dists}; leave num_dists out, or give tasks in "
            "place of suite"
        )
    return chosen.tasks, chosen.num_dists
