"""`run RUN`: a plan, or the rest of it."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from babyai_kit.cli.arguments import (
    add_command,
    add_episode_flags,
    add_run,
    add_run_budget,
    given,
    names,
    seeds,
    shard,
)


def add(commands: Any) -> None:
    parser = add_command(commands, "run", "run a plan, or continue it")
    add_run(parser)
    flag = parser.add_argument
    flag("--variants", type=names, help="default: the four of config/tensorzero.toml")
    flag("--tasks", type=names, help="default: the five tasks")
    flag("--seeds", type=seeds, help="half-open, like 200:220 (the default), or a list, like 1,5")
    add_episode_flags(parser)
    add_run_budget(parser)
    parser.add_argument(
        "--workflow-evaluation",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let the UI compare the variants (default: if the gateway is reached over HTTP)",
    )
    parser.add_argument(
        "--shard", type=shard, default=None, metavar="I/N", help="this share of the seeds only"
    )
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from babyai_kit.experiment.budget import Limits
    from babyai_kit.experiment.experiment import execute
    from babyai_kit.experiment.options import RunOptions
    from babyai_kit.gateway.connect import connect
    from babyai_kit.runs.plan import Sampling, make_plan

    async with connect() as session:
        plan = make_plan(
            session.config,
            run=args.run,
            **given(args, "variants", "tasks", "seeds", "num_dists", "repeats", "history_length"),
        )
        options = RunOptions(
            limits=Limits(args.max_cost_usd, args.max_tokens_total),
            **given(args, "max_concurrency", "requests_per_minute", "stop_after_invalid"),
            **given(args, "workflow_evaluation", "shard", "results"),
        )
        sampling = Sampling(**given(args, "temperature", "max_tokens", "call_seeds"))
        outcome = await execute(session, plan, sampling, options)
    if outcome.episodes["success"].notna().any():
        rates = outcome.episodes.groupby("variant")["success"].mean().dropna()
        print("Success: " + ", ".join(f"{variant} {rate:.1%}" for variant, rate in rates.items()))
    return 0 if outcome.complete and outcome.stopped is None else 1
