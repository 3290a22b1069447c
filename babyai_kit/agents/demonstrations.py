"""Episodes to show as examples: the expert's, or the best of a run. Of the train block alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from babyai_kit.agents.text_agent import PastStep, step_text
from babyai_kit.configuration.project import StrPath
from babyai_kit.environment import ACTIONS, expert_actions
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import InputError, UnsupportedLevelError
from babyai_kit.runs.run import Run
from babyai_kit.runs.seed_blocks import TRAIN, check_block
from babyai_kit.runs.trajectories import Trajectory


@dataclass(frozen=True)
class Demonstration:
    """A success, step by step."""

    task: str
    num_dists: int
    seed: int
    mission: str
    steps: tuple[PastStep, ...]

    def __str__(self) -> str:
        return "\n\n".join([f"Mission: {self.mission}", *map(step_text, self.steps)])


def expert_demonstrations(task: str, num_dists: int, *, first: int = 0) -> Iterator[Demonstration]:
    """The expert's successes, by seed from `first` on, then from the beginning of the train block.

    Raises InputError if `first` is in another block.
    """
    check_block([first], "train", "examples")
    for seed in (*range(first, TRAIN.stop), *range(TRAIN.start, first)):
        if (demonstration := _by_expert(task, num_dists, seed)) is not None:
            yield demonstration


@lru_cache(maxsize=1024)
def _by_expert(task: str, num_dists: int, seed: int) -> Demonstration | None:
    """None where the expert gives up."""
    playback, steps = Playback(task, seed=seed, num_dists=num_dists), []
    with closing(playback.env):
        try:
            for number in expert_actions(playback.env):
                steps.append(PastStep(playback.observation, ACTIONS[number], valid=True))
                playback.step(ACTIONS[number])
        except UnsupportedLevelError:
            return None
    if playback.reward <= 0:
        return None
    return Demonstration(task, num_dists, seed, playback.mission, tuple(steps))


def nothing_to_show(agent: str, run: str, task: str, num_dists: int) -> InputError:
    """Of an agent that finds no success of `run`, or of the expert, to be shown."""
    of = f"run {run!r}" if run else "the expert"
    return InputError(
        f"agent {agent} finds no success of {of} on {task} with num_dists {num_dists} in "
        "the train block; leave this task out, or take the examples from another run"
    )


def best_of_run(run: str, *, results: StrPath) -> list[Demonstration]:
    """The successes of a run in the train block, of each seed the best, and the best first: by return.

    Raises InputError if there is no such run, or if it has no success there.
    """
    opened = Run.open(run, results=results)
    successes = [t for t in opened.trajectories() if t.success and not t.missing]
    chosen = [t for t in successes if t.key.seed in TRAIN]
    if not chosen:
        why = "its successes are of other seeds" if successes else "it has no success"
        raise InputError(
            f"no episode of run {run!r} can be an example ({why}); name a run that succeeded on seeds of the "
            f"train block, {TRAIN.start} to {TRAIN.stop - 1}"
        )
    best: dict[tuple[str, int, int], Demonstration] = {}
    for t in sorted(chosen, key=lambda t: (-_return(t), t.key)):
        place = (t.key.task, t.key.num_dists, t.key.seed)
        if place not in best:
            steps = tuple(PastStep(step.observation, step.action, valid=True) for step in t.steps)
            best[place] = Demonstration(*place, _mission(*place), steps)
    return list(best.values())


def _return(trajectory: Trajectory) -> float:
    return (trajectory.record and trajectory.record.episode_return) or 0.0


def _mission(task: str, num_dists: int, seed: int) -> str:
    playback = Playback(task, seed=seed, num_dists=num_dists)
    playback.env.close()
    return playback.mission
