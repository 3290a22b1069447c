"""How fast the offline player answers: requests per second over HTTP, microseconds per policy answer.

Run `python benchmarks/bench_offline_player.py [--json PATH]`. Two set-ups: the server in the client's
event loop (as `connect()` uses it) and in a process of its own (as the command line does). The client
is aiohttp and shares the cores; its own cost is part of the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import aiohttp

from babyai_kit.configuration.models import OFFLINE_MODEL
from babyai_kit.local.player import OfflinePlayer, serve
from babyai_kit.local.player.chat_request import parse_request
from babyai_kit.local.player.completion import complete
from babyai_kit.local.player.policy_answer import policy_answer

IN_FLIGHT = (1, 16, 64)
RULES = "You are an agent in a grid world. " * 40 + '{"thinking": "...", "action": "..."}'


def make_body(number: int) -> dict[str, Any]:
    """A request with eight steps of history (about 900 tokens), different for each number."""
    steps = "".join(
        f"\nObservation:\na wall {n + 1} steps forward\na red ball {number % 3 + 1} steps left and "
        f"{n + 1} steps forward\na green box {n % 3 + 1} steps right\nAction: go forward\n"
        for n in range(8)
    )
    user = f"Mission: go to the red ball\n{steps}\nCurrent observation:\na red ball 2 steps right"
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": user}]
    return {"model": OFFLINE_MODEL, "seed": number, "max_tokens": 1024, "messages": messages}


def policy_us(calls: int = 2000) -> dict[str, float]:
    """Microseconds of CPU per answer: reading the request, choosing, counting tokens."""
    raws = [json.dumps(make_body(number)).encode() for number in range(calls)]
    spent = []
    for raw in raws:
        start = time.perf_counter()
        request = parse_request(raw)
        complete(policy_answer(request), request)
        spent.append(1e6 * (time.perf_counter() - start))
    return {"p50": statistics.median(spent), "p99": statistics.quantiles(spent, n=100)[98]}


async def rate(base_url: str, in_flight: int, seconds: float) -> float:
    """Requests per second with a fixed number of calls in flight."""
    done, end = 0, time.perf_counter() + seconds
    async with aiohttp.ClientSession(base_url, connector=aiohttp.TCPConnector(limit=in_flight)) as client:

        async def worker(number: int) -> None:
            nonlocal done
            while time.perf_counter() < end:
                async with client.post("chat/completions", json=make_body(number)) as answer:
                    await answer.read()
                    answer.raise_for_status()
                number += in_flight
                done += 1

        start = time.perf_counter()
        await asyncio.gather(*(worker(number) for number in range(in_flight)))
        return done / (time.perf_counter() - start)


def serve_elsewhere(pipe: Any) -> None:
    asyncio.run(serve(0, on_ready=pipe.send))


async def measure(seconds: float) -> dict[str, dict[str, float]]:
    rates: dict[str, dict[str, float]] = {"same event loop": {}, "own process": {}}
    async with OfflinePlayer() as player:
        for in_flight in IN_FLIGHT:
            rates["same event loop"][str(in_flight)] = await rate(player.base_url, in_flight, seconds)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve_elsewhere, args=(theirs,), daemon=True)
    process.start()
    try:
        base_url = ours.recv().split()[-1]
        for in_flight in IN_FLIGHT:
            rates["own process"][str(in_flight)] = await rate(base_url, in_flight, seconds)
    finally:
        process.terminate()
        process.join()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--seconds", type=float, default=3.0, help="per cell of the table")
    args = parser.parse_args()
    policy = policy_us()
    rates = asyncio.run(measure(args.seconds))
    print(f"| requests/s, in flight: | {' | '.join(map(str, IN_FLIGHT))} |")
    print("| --- |" + " ---: |" * len(IN_FLIGHT))
    for setup, cells in rates.items():
        print(f"| {setup} | {' | '.join(f'{cell:,.0f}' for cell in cells.values())} |")
    print(f"\nPolicy answer: {policy['p50']:.0f} us p50, {policy['p99']:.0f} us p99")
    if args.json:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        figures = {"requests_per_s": rates, "policy_answer_us": policy, **machine}
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
