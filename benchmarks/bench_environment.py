"""Speed of the environment beside minigrid's own, and where its time goes.

    python benchmarks/bench_environment.py [--json PATH] [--seconds S]

Random actions from a fixed generator, a text at every step, a reset whenever an episode ends. Stock
`BabyAI-GoToLocal-v0` and the five tasks take turns in short slices of one run, so that a busy machine slows
all of them; `times stock` compares steps per second, resets included. Shares are of the time of one task's
steps and resets: drawing levels, minigrid's physics, the text, and the rest (protocol, loop).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import minigrid  # noqa: F401 (registers BabyAI-GoToLocal-v0)
import numpy as np
import pandas as pd
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel

from babyai_kit import TASKS, make_env
from babyai_kit.environment import shortest_length, task_env, text_env

STOCK = "BabyAI-GoToLocal-v0"
SLICE_S = 0.1
Played = tuple[int, int, float, float]
"""Steps, resets, seconds, seconds of these in resets."""


class Player:
    """Plays one environment on and on, from where it stopped."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self._actions = np.random.default_rng(0)
        self._seed = 0
        self._ended = True

    def play(self, seconds: float) -> Played:
        """Play for about `seconds`."""
        steps = resets = 0
        resetting = 0.0
        step = self.env.step
        started = time.perf_counter()
        while True:
            actions = self._actions.integers(0, 6, 64).tolist()
            for action in actions:
                if self._ended:
                    before = time.perf_counter()
                    self.env.reset(seed=self._seed)
                    resetting += time.perf_counter() - before
                    self._seed += 1
                    resets += 1
                _, _, terminated, truncated, _ = step(action)
                self._ended = terminated or truncated
                steps += 1
            if (spent := time.perf_counter() - started) >= seconds:
                return steps, resets, spent, resetting


def race(players: dict[str, Player], seconds: float) -> pd.DataFrame:
    """All players in turns, `seconds` each: a row per player."""
    totals: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(4))
    # Stock minigrid prints every layout that it rejects.
    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(round(seconds / SLICE_S)):
            for name, player in players.items():
                totals[name] += player.play(SLICE_S)
    rows = []
    for name, (steps, resets, spent, resetting) in totals.items():
        rows.append(
            {
                "environment": name,
                "steps/s": steps / spent,
                "resets/s": resets / resetting,
                "steps/s without resets": steps / (spent - resetting),
            }
        )
    table = pd.DataFrame(rows)
    table.insert(2, "times stock", table["steps/s"] / table["steps/s"].iloc[0])
    return table


class Clock:
    """Seconds spent inside of functions, while they are replaced by timed ones."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._undo: list[Callable[[], None]] = []

    def time(self, owner: Any, name: str, label: str) -> None:
        """Replace `owner.name` by a timed one."""
        inner = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[label] += time.perf_counter() - started

        setattr(owner, name, timed)
        self._undo.append(lambda: setattr(owner, name, inner))

    def restore(self) -> None:
        for undo in self._undo:
            undo()


def shares(seconds: float) -> pd.DataFrame:
    """Where the time of each task goes, in percent."""
    rows = []
    for task in TASKS:
        clock = Clock()
        clock.time(text_env, "describe", "text")
        clock.time(text_env, "view_from", "text")
        clock.time(task_env, "generate", "levels")
        clock.time(RoomGridLevel, "step", "minigrid.step")
        try:
            _, _, spent, _ = Player(make_env(task)).play(seconds)
        finally:
            clock.restore()
        seconds_in = clock.seconds
        physics = seconds_in["minigrid.step"] - seconds_in["text"]
        rest = spent - seconds_in["levels"] - seconds_in["minigrid.step"]
        parts = {"levels": seconds_in["levels"], "physics": physics, "text": seconds_in["text"], "rest": rest}
        rows.append({"task": task} | {name: 100 * part / spent for name, part in parts.items()})
    return pd.DataFrame(rows)


def searches(seeds: int) -> pd.DataFrame:
    """Milliseconds of one shortest_length, from a fresh start."""
    rows = []
    for task in TASKS:
        row: dict[str, Any] = {"task": task}
        for num_dists in (0, 8):
            env, spent = make_env(task, num_dists=num_dists), 0.0
            for seed in range(seeds):
                env.reset(seed=seed)
                started = time.perf_counter()
                shortest_length(env)
                spent += time.perf_counter() - started
            row[f"ms, num_dists {num_dists}"] = 1000 * spent / seeds
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0, help="per environment (default: %(default)s)")
    args = parser.parse_args()
    players = {STOCK: Player(gymnasium.make(STOCK).unwrapped)}
    players |= {task: Player(make_env(task)) for task in TASKS}
    players["goto, 8 more objects, as stock has"] = Player(make_env("goto", num_dists=8))
    tables = {
        "speed": race(players, args.seconds),
        "where the time goes (%)": shares(args.seconds / 3),
        "shortest_length": searches(100),
    }
    for title, table in tables.items():
        print(f"\n{title}\n{table.round(2).to_string(index=False)}")
    if args.json:
        args.json.write_text(json.dumps({k: t.to_dict("records") for k, t in tables.items()}, indent=2))


if __name__ == "__main__":
    main()
