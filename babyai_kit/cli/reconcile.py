"""`reconcile RUN`: compare a run's journal with ClickHouse and send missing feedback."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from babyai_kit.cli.arguments import add_command, add_run


def add(commands: Any) -> None:
    parser = add_command(
        commands, "reconcile", "compare a run's journal with ClickHouse and send missing feedback"
    )
    add_run(parser)
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    return asyncio.run(_reconcile(args))


async def _reconcile(args: argparse.Namespace) -> int:
    from babyai_kit.experiment.reconciliation import reconcile_run
    from babyai_kit.gateway.connect import connect
    from babyai_kit.runs.run import Run

    Run.open(args.run, results=args.results)  # before the seconds that services take to start
    async with connect() as session:
        reconciliation = await reconcile_run(session, args.run, results=args.results)
    print(reconciliation)
    for episode_id, steps in reconciliation.missing.items():
        print(f"missing in ClickHouse: episode {episode_id}, steps {', '.join(map(str, steps))}")
    for episode_id, steps in reconciliation.partial.items():
        print(f"stored in part: episode {episode_id}, steps {', '.join(map(str, steps))}")
    for episode_id, inference_ids in reconciliation.orphans.items():
        print(f"orphans: episode {episode_id}, inferences {', '.join(inference_ids)}")
    return 0 if reconciliation.clean else 1
