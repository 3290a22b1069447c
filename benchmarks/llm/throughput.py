"""Decisions per second of the served language model through gateway and store, by prompt and calls in flight.

Server, gateway and store share this machine's cores, as they do for a user. The model is untuned and samples
at temperature 1, so that hardly any question is asked twice in a dialogue; baseline's repeat, and are
answered from memory. `make bench-llm` runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import pandas as pd

from babyai_kit import TASKS, connect, run_experiment
from babyai_kit.configuration.models import LANGUAGE_MODEL

CASES = ((1, 1), (16, 4), (64, 13))
"""Calls in flight, seeds."""
VARIANTS = ("baseline", "dialogue")
SHORT_TASKS = TASKS[:3]


async def measure(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    os.environ["AGENT_MODEL"] = LANGUAGE_MODEL
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AGENT_MODELS", "TENSORZERO_GATEWAY_URL"):
        os.environ.pop(name, None)
    async with connect(env_file=None, data=folder / "data", quiet=True) as session:
        for variant in VARIANTS:
            for in_flight, seeds in CASES:
                cpu, started = time.process_time(), time.perf_counter()
                episodes = await run_experiment(
                    session,
                    f"{variant}-{in_flight}",
                    [variant],
                    SHORT_TASKS,
                    range(seeds),
                    max_concurrency=in_flight,
                    results=folder / "results",
                    progress=False,
                )
                wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
                steps = int(episodes["episode_length"].sum())
                prompts = float(episodes["input_tokens"].sum())
                rows.append(
                    {
                        "prompt": variant,
                        "calls in flight": in_flight,
                        "decisions": steps,
                        "decisions/s": steps / wall_s,
                        "ms CPU/decision": 1000 * cpu_s / steps,
                        "tokens/prompt": prompts / steps,
                        "cached": float(episodes["cached_tokens"].sum()) / prompts,
                        "memory, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
                    }
                )
                print(rows[-1], flush=True)
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
