"""`run RUN`: a plan, or the rest of it."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from babyai_kit.cli.arguments import add_command, add_run, given, names, seeds, shard


def add(commands: Any) -> None:
    parser = add_command(commands, "run", "run a plan, or continue it")
    add_run(parser)
    flag = parser.add_argument
    flag("--variants", type=names, help="default: the four of config/tensorzero.toml")
    flag("--tasks", type=names, help="default: the five tasks")
    flag("--seeds", type=seeds, help="half-open, like 200:220 (the default), or a list, like 1,5")
    flag("--num-dists", type=int, help="distracting objects (default: none)")
    flag("--repeats", type=int, help="episodes per seed (default: 1)")
    flag("--history-length", type=int, help="steps that the history variants show (default: 8)")
    flag("--temperature", type=float, help="default: the model server's own")
    flag("--max-tokens", type=int, help="limit of one answer (default: 1024)")
    flag("--concurrency", type=int, dest="max_concurrency", help="calls in flight (default: 50)")
    flag(
        "--requests-per-minute",
        type=float,
        metavar="N",
        help="calls that may start in a minute, evenly spaced (default: AGENT_REQUESTS_PER_MINUTE, else any)",
    )
    flag(
        "--stop-after-invalid",
        type=int,
        metavar="N",
        help="stop if none of the first N answers is valid; 0: go on (default: 50)",
    )
    flag("--max-cost-usd", type=float, help="budget of the run")
    flag("--max-tokens-total", type=int, help="budget of the run, prompts and answers together")
    parser.add_argument(
        "--workflow-evaluation",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let the UI compare the variants (default: if the gateway is reached over HTTP)",
    )
    parser.add_argument(
        "--no-call-seeds", action="store_true", help="for model servers that refuse the parameter seed"
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
        sampling = Sampling(**given(args, "temperature", "max_tokens"), call_seeds=not args.no_call_seeds)
        outcome = await execute(session, plan, sampling, options)
    if len(outcome.episodes):
        rates = outcome.episodes.groupby("variant")["success"].mean()
        print("Success: " + ", ".join(f"{variant} {rate:.1%}" for variant, rate in rates.items()))
    return 0 if outcome.complete else 1
