"""Steps per second of the served learner through gateway and ClickHouse, at 1, 16 and 64 calls in flight.

Server, gateway and store share this machine's cores, as they do for a user. `make bench-learner` runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import pandas as pd

from babyai_kit import TASKS, connect, run_experiment
from babyai_kit.configuration.models import LEARNER_MODEL
from babyai_kit.local.learner.trainer import Learner
from babyai_kit.local.player import OfflinePlayer

CASES = ((1, 1), (16, 4), (64, 8))
"""Calls in flight, seeds."""


async def measure(folder: Path) -> list[dict[str, float]]:
    rows = []
    learner = Learner(folder / "learner")
    learner.prepare()
    async with OfflinePlayer(trainers=[learner]) as player:
        os.environ |= {"OPENAI_BASE_URL": player.base_url, "AGENT_MODEL": LEARNER_MODEL}
        async with connect(env_file=None, data=folder / "data", quiet=True) as session:
            for in_flight, seeds in CASES:
                cpu, started = time.process_time(), time.perf_counter()
                episodes = await run_experiment(
                    session,
                    f"c{in_flight}",
                    ["history"],
                    TASKS,
                    range(seeds),
                    history_length=2,
                    max_concurrency=in_flight,
                    results=folder / "results",
                    progress=False,
                )
                wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
                steps = int(episodes["episode_length"].sum())
                row = {"calls in flight": in_flight, "episodes": len(episodes), "steps": steps}
                rows.append(row | {"steps/s": steps / wall_s, "ms CPU/step": 1000 * cpu_s / steps})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(Path(folder)))
    print(pd.DataFrame(rows).round(2).to_string(index=False))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
