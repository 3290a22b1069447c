"""`finetune ...`: learning from a run, step by step or in rounds."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyai_kit.cli import gguf_export
from babyai_kit.cli.arguments import (
    add_command,
    add_episode_flags,
    add_results,
    add_run,
    add_run_budget,
    check_variants,
    given,
    names,
    run_options,
    seeds,
)

if TYPE_CHECKING:
    from babyai_kit.finetune import Job


def add(commands: Any) -> None:
    parser = add_command(
        commands, "finetune", "curate episodes, fine-tune on them, register the model, measure the gain"
    )
    steps = parser.add_subparsers(required=True, metavar="STEP")
    _add_launch(steps)
    _add_wait_and_cancel(steps)
    _add_register(steps)
    _add_evaluate(steps)
    _add_improve(steps)
    gguf_export.add(steps)


def _add_launch(steps: Any) -> None:
    step = add_command(steps, "launch", "curate a run's episodes, write training files, create a job")
    add_run(step)
    flag = step.add_argument
    flag("--variant", metavar="NAME", required=True, help="whose episodes to learn from")
    flag("--prompt", metavar="VARIANT", help="whose prompt to learn them under (default: as they were asked)")
    _add_curation(step)
    latest = "if the run has several (default: that of the latest plan)"
    flag("--history-length", type=int, metavar="N", help=f"of the episodes, {latest}")
    flag("--num-dists", type=int, metavar="N", help=f"distracting objects of the episodes, {latest}")
    flag("--source", choices=("clickhouse", "journal"), help="which record to read (default: clickhouse)")
    flag("--model", metavar="NAME", help="base to fine-tune (default: the variant's model)")
    flag("--suffix", metavar="TEXT", help="part of the new model's name (default: act)")
    _add_epochs(step)
    flag("--max-cost-usd", type=float, metavar="USD", help="launch nothing if the estimate is higher")
    flag("--workflow", action="store_true", help="use the gateway's optimization workflow (OpenAI only)")
    flag("--dry-run", action="store_true", help="curate and write the files, launch nothing")
    step.set_defaults(command=lambda args: asyncio.run(_launch(args)))


def _add_curation(step: Any) -> None:
    flag = step.add_argument
    flag("--min-return", type=float, metavar="R", default=0.5, help="of an episode, 0 to 1 (default: 0.5)")
    flag("--max-per-task", type=int, metavar="N", help="episodes, best return first (default: 40)")
    flag("--shortest-only", action="store_true", help="of each task and seed, only the best episode")
    flag("--drop-detours", action="store_true", help="leave out the steps that a success did not need")


def _add_epochs(step: Any) -> None:
    step.add_argument(
        "--epochs", dest="n_epochs", type=int, metavar="N", help="default: the provider chooses"
    )


def _add_tasks(step: Any) -> None:
    step.add_argument("--tasks", type=names, metavar="NAME,...", help="default: all five")


def _add_wait_and_cancel(steps: Any) -> None:
    step = add_command(steps, "wait", "wait for the job of a run, in this process or a later one")
    add_run(step)
    step.set_defaults(command=lambda args: asyncio.run(_wait(args)))
    step = add_command(steps, "cancel", "cancel the job of a run")
    add_run(step)
    step.set_defaults(command=lambda args: asyncio.run(_cancel(args)))


def _add_register(steps: Any) -> None:
    step = add_command(steps, "register", "let the gateway serve a fine-tuned model as a variant")
    flag = step.add_argument
    flag("name", metavar="NAME", help="of the new variant, such as history_sft")
    flag("--model", metavar="NAME", help="the fine-tuned model's name")
    flag("--snippet", type=Path, metavar="FILE", help="the TOML that the UI shows (- for standard input)")
    flag("--like", metavar="VARIANT", help="whose prompts to use (default: NAME without _sft)")
    step.set_defaults(command=_register)


def _add_evaluate(steps: Any) -> None:
    step = add_command(steps, "evaluate", "compare a tuned variant with its base on the test block")
    add_run(step)
    flag = step.add_argument
    flag("--base", metavar="VARIANT", required=True)
    flag("--tuned", metavar="VARIANT", required=True)
    _add_tasks(step)
    flag("--seeds", type=seeds, help="of the test block, such as 1000:1020 (default: all of it)")
    flag("--train", type=seeds, metavar="SEEDS", help="that were learned from (default: the train block)")
    add_episode_flags(step)
    add_run_budget(step)
    step.set_defaults(command=lambda args: asyncio.run(_evaluate(args)))


def _add_improve(steps: Any) -> None:
    step = add_command(steps, "improve", "collect, curate, fine-tune, register and evaluate, in rounds")
    flag = step.add_argument
    flag("name", metavar="NAME", help="the runs are NAME-1-train, ..., NAME-test")
    flag("--variant", metavar="NAME", help="the base (default: history_and_reasoning)")
    flag("--rounds", type=int, metavar="N", help="default: 1")
    flag("--explorer", metavar="NAME", help="agent or variant that plays the first round's train seeds")
    flag("--train-repeats", type=int, metavar="N", help="of each train seed (default: those of --repeats)")
    _add_tasks(step)
    for block in ("train", "validation", "test"):
        flag(f"--{block}", type=seeds, metavar="SEEDS", help=f"of the {block} block (default: all of it)")
    _add_epochs(step)
    add_results(step)
    _add_curation(step)
    add_episode_flags(step)
    add_run_budget(step, of="each run, without the jobs")
    step.set_defaults(command=lambda args: asyncio.run(_improve(args)))


async def _launch(args: argparse.Namespace) -> int:
    from babyai_kit import finetune
    from babyai_kit.gateway.connect import connect

    folder = _folder(args)
    options = given(args, "model", "suffix", "n_epochs", "max_cost_usd")
    check_variants(args.prompt or args.variant)
    player = finetune.player_name(args.variant) if args.prompt else args.variant
    settings = replace(
        finetune.latest_settings(args.run, player, args.results),
        **given(args, "history_length", "num_dists"),
    )
    async with connect() as session:
        curation = await finetune.curate(
            session,
            args.run,
            player,
            settings=settings,
            **given(args, "prompt", "source", "results"),
            **_curation(args),
        )
        print(curation)
        if args.workflow and not args.dry_run:
            await finetune.launch_workflow(session, curation, folder, **options)
            return 0
        files = finetune.export(curation, folder)
        paths = [files.training_file, files.validation_file]
        print("Training files: " + ", ".join(str(path) for path in paths if path))
        if args.dry_run:
            estimate = finetune.estimate_training(
                files, model=args.model, n_epochs=args.n_epochs, config=session.config.path
            )
            print(f"A job would take {estimate}.")
            if not args.prompt:
                print(finetune.form_guide(session, curation, model=args.model))
            return 0
        await finetune.launch(session, files, **options)
        if session.settings.offline:
            # Its server ends with this process.
            return _report(await finetune.wait(session, folder))
    return 0


def _curation(args: argparse.Namespace) -> dict[str, Any]:
    return given(args, "min_return", "max_per_task", "shortest_only", "drop_detours")


async def _wait(args: argparse.Namespace) -> int:
    from babyai_kit.finetune import read_job, wait
    from babyai_kit.gateway.connect import connect

    read_job(_folder(args))
    async with connect(quiet=True) as session:
        return _report(await wait(session, _folder(args)))


async def _cancel(args: argparse.Namespace) -> int:
    from babyai_kit.finetune import cancel, read_job
    from babyai_kit.gateway.connect import connect

    read_job(_folder(args))
    async with connect(quiet=True) as session:
        job = await cancel(session, _folder(args))
    return 0 if job.outcome == "cancelled" else _report(job)


def _report(job: Job) -> int:
    """Print the job and, if it succeeded, the next command; returns the exit code."""
    print(job)
    if job.outcome != "succeeded":
        return 1
    print(
        f"Next: python -m babyai_kit finetune register {job.variant}_sft --like {job.variant} "
        f"--model {shlex.quote(job.fine_tuned_model)}"
    )
    return 0


def _register(args: argparse.Namespace) -> int:
    from babyai_kit.finetune import register_variant

    snippet = None if args.snippet is None else _read(args.snippet)
    file = register_variant(args.name, model=args.model, snippet=snippet, like=args.like)
    print(f"{args.name} is in {file}. The next command serves it; restart a gateway over HTTP first.")
    return 0


def _read(file: Path) -> str:
    from babyai_kit.errors import InputError

    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{file} cannot be read; name the file with the UI's snippet") from None


async def _evaluate(args: argparse.Namespace) -> int:
    from babyai_kit.finetune import evaluate
    from babyai_kit.gateway.connect import connect

    options = given(args, "base", "tuned", "tasks", "seeds", "train")
    check_variants(args.base, args.tuned)
    async with connect() as session:
        print(await evaluate(session, args.run, **options, **run_options(args)))
    return 0


async def _improve(args: argparse.Namespace) -> int:
    from babyai_kit.finetune import improve

    names = ("variant", "rounds", "explorer", "train_repeats", "tasks", "train", "validation", "test")
    options = given(args, *names, "n_epochs")
    print(await improve(args.name, **options, **_curation(args), **run_options(args)))
    return 0


def _folder(args: argparse.Namespace) -> Path:
    from babyai_kit.runs.journal import run_folder

    return run_folder(args.results, args.run) / "finetune"
