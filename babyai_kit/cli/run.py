"""`run RUN`: a plan, or the rest of it."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from babyai_kit.cli.arguments import add_run, names, seeds, shard


def add(commands: Any) -> None:
    parser = commands.add_parser("run", help="run a plan, or go on with it")
    add_run(parser)
    parser.add_argument("--variants", type=names, default="baseline,reasoning,history,history_and_reasoning")
    parser.add_argument("--tasks", type=names, default="goto,pickup,open,putnext,pick_up_seq_go_to")
    parser.add_argument(
        "--seeds", type=seeds, default="200:220", help="half-open, like 200:220, or a list, like 1,5"
    )
    parser.add_argument("--num-dists", type=int, default=0, help="distracting objects")
    parser.add_argument("--repeats", type=int, default=1, help="episodes per seed")
    parser.add_argument("--history-length", type=int, default=8, help="steps that the history variants show")
    parser.add_argument("--temperature", type=float, default=None, help="default: the model server's own")
    parser.add_argument("--max-tokens", type=int, default=1024, help="limit of one answer")
    parser.add_argument("--concurrency", type=int, default=50, help="calls in flight")
    parser.add_argument("--max-cost-usd", type=float, default=None, help="budget of the run")
    parser.add_argument(
        "--max-tokens-total", type=int, default=None, help="budget of the run, prompts and answers together"
    )
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
    from babyai_kit.experiment.experiment import execute
    from babyai_kit.gateway.connect import connect
    from babyai_kit.runs.plan import make_plan, make_sampling

    async with connect() as session:
        plan = make_plan(
            session.config,
            run=args.run,
            variants=args.variants,
            tasks=args.tasks,
            seeds=args.seeds,
            num_dists=args.num_dists,
            repeats=args.repeats,
            history_length=args.history_length,
        )
        outcome = await execute(
            session,
            plan,
            make_sampling(args.temperature, args.max_tokens, not args.no_call_seeds),
            max_concurrency=args.concurrency,
            max_cost_usd=args.max_cost_usd,
            max_tokens_total=args.max_tokens_total,
            workflow_evaluation=args.workflow_evaluation,
            shard=args.shard,
            results=args.results,
        )
    if len(outcome.episodes):
        rates = outcome.episodes.groupby("variant")["success"].mean()
        print("Success: " + ", ".join(f"{variant} {rate:.1%}" for variant, rate in rates.items()))
    return 0 if outcome.complete else 1
