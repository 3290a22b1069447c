"""Several models in one run against each of them alone: a run must take the time of its slowest model.

Three models behind the real gateway: a slow server, one that answers 429 beyond two calls at a time, and the
offline player of this process. All three are the offline player, so that they play the same episodes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit import connect, run_experiment
from babyai_kit.configuration.project import PROJECT_CONFIG
from babyai_kit.local.player import OfflinePlayer

MODELS = ("slow", "limited", "offline-player")
SLOW_S, LIMITED_S = 0.4, 0.05
SEEDS = range(8)
CALLS = 16
TOML = """
[models.{name}]
routing = ["own"]
[models.{name}.providers.own]
type = "openai"
model_name = "{name}"
api_base = "{url}"
api_key_location = "none"
"""


async def measure(folder: Path, cases: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
    rows = []
    async with contextlib.AsyncExitStack() as stack:
        slow = await stack.enter_async_context(OfflinePlayer(aliases=["slow"], latency_s=SLOW_S))
        limited = OfflinePlayer(aliases=["limited"], latency_s=LIMITED_S, capacity=2)
        await stack.enter_async_context(limited)
        config = folder / "config"
        shutil.copytree(PROJECT_CONFIG, config)
        servers = {"slow": slow, "limited": limited}
        (config / "models.toml").write_text(
            "".join(TOML.format(name=name, url=player.base_url) for name, player in servers.items())
        )
        session = await stack.enter_async_context(
            connect(env_file=None, config=config, data=folder / "data", quiet=True)
        )
        for number, models in enumerate(cases):
            started = time.perf_counter()
            episodes = await run_experiment(
                session,
                f"case-{number}",
                ["baseline", "history"],
                ["goto", "pickup"],
                SEEDS,
                models=models,
                max_concurrency=CALLS,
                results=folder / "results",
                progress=False,
            )
            wall_s = time.perf_counter() - started
            steps = int(episodes["episode_length"].sum())
            rows.append(
                {"models": " + ".join(models), "episodes": len(episodes), "steps": steps, "wall_s": wall_s}
            )
    slowest = max(row["wall_s"] for row in rows if "+" not in row["models"])
    return [row | {"of the slowest alone": row["wall_s"] / slowest} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "AGENT_MODEL",
        "AGENT_MODELS",
        "TENSORZERO_GATEWAY_URL",
    ):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        alone = [(model,) for model in MODELS]
        rows = asyncio.run(measure(Path(folder), [*alone, MODELS, MODELS]))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
