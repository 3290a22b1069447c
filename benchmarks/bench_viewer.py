"""How fast the viewer is on a run of 10,000 episodes of about 100 steps, and how small an export of 400 is.

    python benchmarks/bench_viewer.py [--json PATH] [--seeds N]

The runs are real episodes of random actions, made once under results/bench/viewer. `view` runs as a process
of its own and is asked over HTTP; its memory is the most that it had, without the process that replays
failures.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from viewer_journal import write_large_run

RESULTS = Path("results/bench/viewer")
EXPORTED_SEEDS = 20
"""400 episodes: four agents, five tasks."""
OPENED = 50
"""Episodes that are opened, one after the other."""


def measure_server(run: str) -> dict[str, float]:
    """`view RUN` from its start on, until everything is known."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "babyai_kit", "view", run, "--results", str(RESULTS)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        address = process.stdout.readline().partition("#")[0]
        figures = {"seconds to the address": time.perf_counter() - begun}

        def ask(path: str) -> Any:
            with urllib.request.urlopen(f"{address}api/runs/{run}{path}") as answer:
                return json.load(answer)

        begun = time.perf_counter()
        table = ask("")
        figures["seconds to the table"] = time.perf_counter() - begun
        ids = [name for name in table["episodes"]["id"] if name]
        ask(f"/episodes/{ids[-1]}")
        figures["seconds to all steps located"] = time.perf_counter() - begun
        opened = []
        for name in random.Random(0).sample(ids, min(OPENED, len(ids))):
            start = time.perf_counter()
            ask(f"/episodes/{name}")
            opened.append(time.perf_counter() - start)
        figures["milliseconds to open an episode, median"] = 1000 * statistics.median(opened)
        figures["milliseconds to open an episode, most"] = 1000 * max(opened)
        start = time.perf_counter()
        ask("/search?q=no+such+words")
        figures["seconds to search all texts"] = time.perf_counter() - start
        while ask("")["classified"] < 1:
            time.sleep(1)
        figures["seconds to all failure classes"] = time.perf_counter() - begun
        figures["peak memory of the viewer, MB"] = _peak_mb(process.pid)
    finally:
        process.kill()
        process.wait()
    return {
        "episodes": len(ids),
        "GB of steps": (RESULTS / run / "steps.jsonl").stat().st_size / 1e9,
        **figures,
    }


def measure_export(run: str) -> dict[str, float]:
    """`view RUN --export` as a process."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        words = ["view", run, "--results", str(RESULTS), "--export", f"{folder}/export"]
        subprocess.run(
            [sys.executable, "-m", "babyai_kit", *words], check=True, capture_output=True, text=True
        )
        seconds = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {"seconds to export 400 episodes": seconds, "MB of that export": size / 1e6}


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    return float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, default=500, help="20 episodes each (default: %(default)s)")
    args = parser.parse_args()
    write_large_run(RESULTS, f"large-{args.seeds}", seeds=args.seeds)
    write_large_run(RESULTS, "exported", seeds=EXPORTED_SEEDS)
    figures = measure_server(f"large-{args.seeds}") | measure_export("exported")
    for name, value in figures.items():
        print(f"{name:<42}{value:>12,.2f}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
