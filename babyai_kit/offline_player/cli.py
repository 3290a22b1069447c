"""Command line of the offline player: flags to options, nothing else."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

from babyai_kit.learner import make_learner
from babyai_kit.offline_player.faults import FaultPlan
from babyai_kit.offline_player.server import DEFAULT_PORT, HOST, serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `python -m babyai_kit player` to a parser."""
    add = parser.add_argument
    add("--port", type=int, default=DEFAULT_PORT, help="0: any free one (default: %(default)s)")
    add("--host", default=HOST, help="another address than loopback is for containers (default: %(default)s)")
    add("--api-key", help="ask clients for this key (default: none)")
    add("--latency-s", type=float, default=0.0, help="seconds before each answer")
    add("--latency-sigma", type=float, default=0.0, help="lognormal spread of it (0: fixed)")
    add("--faults", default="", metavar="KIND=P,...", help="such as 429=0.2,reset=0.05,malformed=0.1")
    add("--fault-seed", type=int, default=0, help="another seed, other victims")
    add("--retry-after-s", type=float, help="Retry-After of injected statuses")
    add("--capacity", type=int, help="calls in flight beyond it get 429")
    add("--alias", action="append", default=[], metavar="MODEL", help="another model name")
    add("--folder", help="keep files, jobs and fine-tuned models there (default: keep nothing)")
    add("--learner", action="store_true", help="serve the small language model too (needs PyTorch)")
    add("--no-usage", action="store_true", help="leave token figures out of the answers")


def main(args: argparse.Namespace) -> int:
    """Serve until stopped; returns 0. Raises InputError for bad options or a port that is taken."""
    faults = FaultPlan.parse(args.faults, seed=args.fault_seed, retry_after_s=args.retry_after_s)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            serve(
                args.port,
                host=args.host,
                say=lambda line: print(line, flush=True),
                api_key=args.api_key,
                latency_s=args.latency_s,
                latency_sigma=args.latency_sigma,
                faults=faults,
                capacity=args.capacity,
                usage=not args.no_usage,
                aliases=args.alias,
                folder=args.folder,
                trainers=[make_learner(Path(args.folder or "data") / "learner")] if args.learner else [],
            )
        )
    return 0
