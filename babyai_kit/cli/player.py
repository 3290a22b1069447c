"""`player`: serve the offline player until stopped."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import Any

from babyai_kit.cli.arguments import add_command
from babyai_kit.configuration.addresses import HOST, PLAYER_PORT
from babyai_kit.configuration.models import LANGUAGE_MODEL


def add(commands: Any) -> None:
    parser = add_command(commands, "player", "serve the offline player, which is not an LLM")
    add_arguments(parser)
    parser.set_defaults(command=serve_player)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument
    flag("--port", type=int, default=PLAYER_PORT, help="0: any free port (default: %(default)s)")
    flag("--host", default=HOST, help="address to listen on; containers need 0.0.0.0 (default: %(default)s)")
    flag("--api-key", help="require this key of clients (default: none)")
    flag("--latency-s", type=float, default=0.0, help="seconds before each answer")
    flag("--latency-sigma", type=float, default=0.0, help="lognormal spread of the latency (0: fixed)")
    flag("--faults", default="", metavar="KIND=P,...", help="fault rates, such as 429=0.2,reset=0.05")
    flag("--fault-seed", type=int, default=0, help="another seed hits other calls")
    flag("--retry-after-s", type=float, help="Retry-After header of injected statuses")
    flag("--capacity", type=int, help="calls in flight beyond it get 429")
    flag("--alias", action="append", default=[], metavar="MODEL", help="another name for the player")
    flag("--folder", help="where files, jobs and models are kept (default: nothing is kept)")
    flag(
        "--language-model",
        action="store_true",
        help=f"serve {LANGUAGE_MODEL} too, a small language model (needs the extra llm)",
    )
    flag(
        "--threads",
        default="1",
        help="in which it computes; auto: as many as are fastest here, measured (default: %(default)s)",
    )
    flag("--no-usage", action="store_true", help="leave token counts out of the answers")


def serve_player(args: argparse.Namespace) -> int:
    """Serve until stopped; returns 0. Raises InputError for bad options or a port that is taken."""
    from babyai_kit.configuration.settings import threads_of
    from babyai_kit.local.player.faults import FaultPlan
    from babyai_kit.local.player.server import serve

    trainers = []
    if args.language_model:
        from babyai_kit.local.language_model import make_language_model

        trainers.append(make_language_model(threads=threads_of(args.threads, "--threads")))
    faults = FaultPlan.parse(args.faults, seed=args.fault_seed, retry_after_s=args.retry_after_s)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            serve(
                args.port,
                host=args.host,
                on_ready=lambda line: print(line, flush=True),
                api_key=args.api_key,
                latency_s=args.latency_s,
                latency_sigma=args.latency_sigma,
                faults=faults,
                capacity=args.capacity,
                usage=not args.no_usage,
                aliases=args.alias,
                folder=args.folder,
                trainers=trainers,
            )
        )
    return 0
