"""Steps per second of the whole main job, offline: journal, embedded gateway, ClickHouse, feedback.

The player answers at once or after a fixed latency, in the same process, so the figure is what one
machine's Python side can carry. With a latency, "of ideal" compares the wall clock with
steps x latency / calls in flight.

With the adapter, the gateway asks the player as it asks any server of OPENAI_BASE_URL; without, as by default
where nothing is configured. Otherwise the two are equal, so that they differ by the hop.
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
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.runs.journal import read_steps

CASES = (
    (1, 0.0, 1, False, False),
    (1, 0.0, 1, False, True),
    (16, 0.0, 4, False, False),
    (16, 0.0, 4, False, True),
    (16, 0.0, 4, True, False),
    (64, 0.0, 8, False, False),
    (64, 0.0, 8, False, True),
    (64, 0.0, 8, True, False),
    (64, 0.25, 20, False, True),
)
"""Calls in flight, mean latency in seconds (lognormal), seeds, as a workflow evaluation, with the adapter."""


async def measure(
    concurrency: int,
    latency_s: float,
    seeds: int,
    evaluated: bool,
    adapter: bool,
    folder: Path,
    data: Path,
) -> dict[str, float]:
    async with OfflinePlayer(latency_s=latency_s, latency_sigma=0.5 if latency_s else 0.0) as player:
        os.environ |= {"OPENAI_BASE_URL": player.base_url if adapter else "", "AGENT_MODEL": "offline-player"}
        async with connect(env_file=None, data=data, quiet=True) as session:
            name = f"c{concurrency}-{latency_s}-{evaluated}-{adapter}"
            cpu, started = time.process_time(), time.perf_counter()
            episodes = await run_experiment(
                session,
                name,
                tasks=TASKS,
                seeds=range(seeds),
                max_concurrency=concurrency,
                workflow_evaluation=evaluated,
                results=folder,
                progress=False,
            )
            wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    steps = sum(map(len, read_steps(folder / name).values()))
    ideal_s = episodes["wall_s"].sum() / concurrency
    return {
        "calls in flight": concurrency,
        "latency_s": latency_s,
        "workflow evaluation": evaluated,
        "adapter": adapter,
        "episodes": len(episodes),
        "steps": steps,
        "wall_s": wall_s,
        "steps/s": steps / wall_s,
        "ms CPU/step": 1000 * cpu_s / steps,
        "of ideal": ideal_s / wall_s if latency_s else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        rows = [asyncio.run(measure(*case, path / "results", path / "data")) for case in CASES]
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
