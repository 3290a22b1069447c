"""The command line: the package's functions, with flags for their parameters.

Knows flags and exit codes only. 0: all done; 1: some episodes ended by an error, or a budget or fatal
answer stopped the run; 2: bad input, nothing was called; 130: interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from babyai_kit.errors import InputError, KitError
from babyai_kit.offline_player import cli as player_cli


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        return args.command(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    from babyai_kit.experiment import execute
    from babyai_kit.gateway import connect
    from babyai_kit.plan import make_plan, make_sampling

    async def run() -> int:
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
                make_sampling(args.temperature, args.max_tokens, call_seeds=True),
                max_concurrency=args.concurrency,
                max_cost_usd=args.max_cost_usd,
                shard=args.shard,
                results=args.results,
            )
        if len(outcome.episodes):
            rates = outcome.episodes.groupby("variant")["success"].mean()
            print("Success: " + ", ".join(f"{variant} {rate:.1%}" for variant, rate in rates.items()))
        return 0 if outcome.complete else 1

    return asyncio.run(run())


def _reconcile(args: argparse.Namespace) -> int:
    from babyai_kit.gateway import connect
    from babyai_kit.reconcile import reconcile_run

    async def run() -> int:
        async with connect() as session:
            found = await reconcile_run(session, args.run, results=args.results)
        print(found)
        for episode_id, steps in found.missing.items():
            print(f"missing in ClickHouse: episode {episode_id}, steps {', '.join(map(str, steps))}")
        for episode_id, count in found.orphans.items():
            print(f"orphans: episode {episode_id}, {count}")
        return 0 if found.clean else 1

    return asyncio.run(run())


def _merge(args: argparse.Namespace) -> int:
    from babyai_kit.merge import merge

    print(f"{merge(args.run, results=args.results)} episodes added to {args.results}/{args.run}")
    return 0


def _clickhouse(args: argparse.Namespace) -> int:
    from babyai_kit.clickhouse import serve

    return serve(args.path, args.port, by_hand=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m babyai_kit", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a plan, or go on with it")
    run.add_argument("run", metavar="RUN", help="name of the run, also its folder under --results")
    run.add_argument("--variants", type=_names, default="baseline,reasoning,history,history_and_reasoning")
    run.add_argument("--tasks", type=_names, default="goto,pickup,open,putnext,pick_up_seq_go_to")
    run.add_argument(
        "--seeds",
        type=_seeds,
        default="200:220",
        help="half-open, like 200:220, or a list, like 1,5",
    )
    run.add_argument("--num-dists", type=int, default=0, help="distracting objects")
    run.add_argument("--repeats", type=int, default=1, help="episodes per seed")
    run.add_argument("--history-length", type=int, default=8, help="steps that the history variants show")
    run.add_argument("--temperature", type=float, default=None, help="default: the model server's own")
    run.add_argument("--max-tokens", type=int, default=1024, help="limit of one answer")
    run.add_argument("--concurrency", type=int, default=50, help="calls in flight")
    run.add_argument("--max-cost-usd", type=float, default=None, help="budget of the run")
    run.add_argument("--shard", type=_shard, default=None, metavar="I/N", help="this share of the seeds only")
    run.add_argument("--results", default="results")
    run.set_defaults(command=_run)

    reconcile = commands.add_parser(
        "reconcile", help="compare a run's journal with ClickHouse, send what is owed"
    )
    reconcile.add_argument("run", metavar="RUN")
    reconcile.add_argument("--results", default="results")
    reconcile.set_defaults(command=_reconcile)

    merge = commands.add_parser("merge", help="join the shards of a run")
    merge.add_argument("run", metavar="RUN")
    merge.add_argument("--results", default="results")
    merge.set_defaults(command=_merge)

    clickhouse = commands.add_parser("clickhouse", help="serve the local ClickHouse until interrupted")
    clickhouse.add_argument("--path", default="data")
    clickhouse.add_argument("--port", type=int, default=18123)
    clickhouse.set_defaults(command=_clickhouse)

    player = commands.add_parser("player", help="serve the offline player, which is no LLM")
    player_cli.add_arguments(player)
    player.set_defaults(command=player_cli.main)
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _seeds(text: str) -> list[int]:
    try:
        if ":" in text:
            first, end = map(int, text.split(":"))
            return list(range(first, end))
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no seeds; write 200:220 or 1,5,9") from None


def _shard(text: str) -> tuple[int, int]:
    try:
        index, count = map(int, text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no shard; write 0/4") from None
    return index, count


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is flushed and closed; the gateway's threads can still crash an interpreter that unwinds.
    os._exit(code)
