"""`finetune ...`: learning from a run, step by step or in rounds."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyai_kit.cli.arguments import add_run, names, seeds

if TYPE_CHECKING:
    from babyai_kit.finetune import Job


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "finetune", help="curate episodes, fine-tune on them, register the model, measure the gain"
    )
    steps = parser.add_subparsers(required=True, metavar="STEP")
    _launch(steps)
    for name, told in (
        ("wait", "wait for the job of a run's examples, in this process or a later one"),
        ("cancel", "cancel it"),
    ):
        step = steps.add_parser(name, help=told)
        add_run(step)
        step.set_defaults(command=lambda args, name=name: asyncio.run(_follow(args, name)))
    _register(steps)
    _evaluate(steps)
    _improve(steps)


def _launch(steps: Any) -> None:
    step = steps.add_parser("launch", help="curate a run's episodes, write training files, create a job")
    add_run(step)
    step.add_argument("--variant", required=True, help="whose episodes are learned from")
    _choice(step)
    step.add_argument("--source", choices=("clickhouse", "journal"), default="clickhouse")
    step.add_argument("--model", help="the base to fine-tune (default: the variant's model)")
    step.add_argument("--suffix", default="act", help="part of the new model's name")
    step.add_argument("--epochs", type=int, default=None, help="default: the provider chooses")
    step.add_argument("--max-cost-usd", type=float, default=None, help="launch nothing that may cost more")
    step.add_argument(
        "--workflow", action="store_true", help="through the gateway's optimization workflow (OpenAI alone)"
    )
    step.add_argument("--dry-run", action="store_true", help="curate and write the files, launch nothing")
    step.set_defaults(command=lambda args: asyncio.run(_curate_and_launch(args)))


def _choice(step: Any) -> None:
    step.add_argument("--min-return", type=float, default=0.5, help="of an episode, 0 to 1")
    step.add_argument("--max-per-task", type=int, default=40, help="episodes")
    step.add_argument(
        "--shortest-only", action="store_true", help="of a task and seed the best episode alone"
    )
    step.add_argument(
        "--drop-detours", action="store_true", help="leave out the steps that a success did not need"
    )


def _register(steps: Any) -> None:
    step = steps.add_parser("register", help="let the gateway serve a fine-tuned model as a variant")
    step.add_argument("name", metavar="NAME", help="of the variant, such as history_sft")
    step.add_argument("--model", help="the fine-tuned model's name")
    step.add_argument("--snippet", type=Path, metavar="FILE", help="what the UI gives to paste (- for stdin)")
    step.add_argument("--like", help="whose prompts it takes (default: NAME without _sft)")
    step.set_defaults(command=_register_variant)


def _evaluate(steps: Any) -> None:
    step = steps.add_parser("evaluate", help="compare a tuned variant with its base on the test block")
    add_run(step)
    step.add_argument("--base", required=True)
    step.add_argument("--tuned", required=True)
    step.add_argument("--tasks", type=names, default="goto,pickup,open,putnext,pick_up_seq_go_to")
    step.add_argument("--seeds", type=seeds, default="1000:1100", help="of the test block")
    step.set_defaults(command=lambda args: asyncio.run(_compare(args)))


def _improve(steps: Any) -> None:
    step = steps.add_parser("improve", help="all of it, in rounds")
    step.add_argument("name", metavar="NAME", help="its runs are NAME-1-train, ..., NAME-test")
    step.add_argument("--variant", default="history_and_reasoning")
    step.add_argument("--rounds", type=int, default=1)
    step.add_argument("--tasks", type=names, default="goto,pickup,open,putnext,pick_up_seq_go_to")
    step.add_argument("--train", type=seeds, default="0:200")
    step.add_argument("--validation", type=seeds, default="200:220")
    step.add_argument("--test", type=seeds, default="1000:1100")
    step.add_argument("--epochs", type=int, default=None, help="default: the provider chooses")
    step.add_argument("--results", default="results")
    _choice(step)
    step.set_defaults(command=lambda args: asyncio.run(_rounds(args)))


async def _curate_and_launch(args: argparse.Namespace) -> int:
    from babyai_kit import finetune
    from babyai_kit.gateway.connect import connect

    folder = _folder(args)
    async with connect() as session:
        curation = await finetune.curate(
            session,
            args.run,
            args.variant,
            min_return=args.min_return,
            max_per_task=args.max_per_task,
            shortest_only=args.shortest_only,
            drop_detours=args.drop_detours,
            source=args.source,
            results=args.results,
        )
        print(curation)
        options = {
            "model": args.model,
            "suffix": args.suffix,
            "n_epochs": args.epochs,
            "max_cost_usd": args.max_cost_usd,
        }
        if args.workflow and not args.dry_run:
            await finetune.launch_workflow(session, curation, folder, **options)
            return 0
        made = finetune.export(curation, folder)
        print(f"Training files: {made.training_file}, {made.validation_file}")
        if args.dry_run:
            estimate = finetune.estimate_training(
                made, model=args.model, n_epochs=args.epochs, config=session.config.path
            )
            print(f"A job would take {estimate}.")
            return 0
        job = await finetune.launch(session, made, **options)
        if session.settings.offline:
            # Its server ends with this process.
            job = await finetune.wait(session, folder)
            return _told(job)
    return 0


async def _follow(args: argparse.Namespace, what: str) -> int:
    from babyai_kit import finetune
    from babyai_kit.gateway.connect import connect

    async with connect(quiet=True) as session:
        follow = finetune.wait if what == "wait" else finetune.cancel
        job = await follow(session, _folder(args))
    return _told(job) if what == "wait" else 0 if job.outcome == "cancelled" else _told(job)


def _told(job: Job) -> int:
    print(job)
    if job.outcome != "succeeded":
        return 1
    print(
        f"Next: python -m babyai_kit finetune register {job.variant}_sft --like {job.variant} "
        f"--model {job.fine_tuned_model}"
    )
    return 0


def _register_variant(args: argparse.Namespace) -> int:
    from babyai_kit.finetune import register_variant

    snippet = None if args.snippet is None else _read(args.snippet)
    file = register_variant(args.name, model=args.model, snippet=snippet, like=args.like)
    print(f"{args.name} is in {file}; the next command serves it, a gateway over HTTP after a restart")
    return 0


def _read(file: Path) -> str:
    from babyai_kit.errors import InputError

    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{file} cannot be read; name the file with the UI's snippet") from None


async def _compare(args: argparse.Namespace) -> int:
    from babyai_kit.finetune import evaluate
    from babyai_kit.gateway.connect import connect

    async with connect() as session:
        print(
            await evaluate(
                session,
                args.run,
                base=args.base,
                tuned=args.tuned,
                tasks=args.tasks,
                seeds=args.seeds,
                results=args.results,
            )
        )
    return 0


async def _rounds(args: argparse.Namespace) -> int:
    from babyai_kit.finetune import improve

    print(
        await improve(
            args.name,
            args.variant,
            rounds=args.rounds,
            tasks=args.tasks,
            train=args.train,
            validation=args.validation,
            test=args.test,
            min_return=args.min_return,
            max_per_task=args.max_per_task,
            shortest_only=args.shortest_only,
            drop_detours=args.drop_detours,
            n_epochs=args.epochs,
            results=args.results,
        )
    )
    return 0


def _folder(args: argparse.Namespace) -> Path:
    from babyai_kit.runs.journal import run_folder

    return run_folder(args.results, args.run) / "finetune"
