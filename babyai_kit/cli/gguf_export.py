"""`finetune export-gguf`: a model that was fine-tuned here, as a file for other programs."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyai_kit.cli.arguments import add_command
from babyai_kit.cli.local_models import jobs_in, server_folder
from babyai_kit.configuration.models import CHECKPOINT, LANGUAGE_MODEL, base_model
from babyai_kit.errors import InputError, unknown
from babyai_kit.local.language_model.base_file import check_installed

if TYPE_CHECKING:
    from babyai_kit.local.player.job_store import JobStore


def add(steps: Any) -> None:
    step = add_command(
        steps,
        "export-gguf",
        "write a model that was fine-tuned here as a file for Ollama, LM Studio or llama.cpp",
    )
    flag = step.add_argument
    flag(
        "model",
        metavar="MODEL_OR_JOB",
        help=f"ft:{LANGUAGE_MODEL}:..., a checkpoint, a job's id, or {LANGUAGE_MODEL}",
    )
    flag("--output", type=Path, metavar="FILE", required=True, help="such as act.gguf; replaced if it exists")
    flag(
        "--format",
        choices=("q8_0", "f16"),
        default="q8_0",
        help="of its numbers: 8 bits, 145 MB, or 16 bits, 271 MB (default: %(default)s)",
    )
    flag(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="of the server that trained it, as in `player --folder` (default: data/player in the project)",
    )
    step.set_defaults(command=_export)


def _export(args: argparse.Namespace) -> int:
    if args.output.is_dir():
        raise InputError(f"{args.output} is a folder; name a file, such as {args.output / 'act.gguf'}")
    check_installed()
    name, folder = _find(args.model, args.folder or server_folder())
    from babyai_kit.local.language_model import weights
    from babyai_kit.local.language_model.gguf_export import export_gguf

    base = weights.open_base()
    shape, tensors = base.shape, base.tensors()
    if folder is not None:
        tuned = weights.load(folder)
        shape, tensors = tuned.shape, tuned.complete(base, tensors)
    path = export_gguf(tensors, shape, base, args.output, name=name, number_format=args.format)
    print(f"{name} is in {path} ({path.stat().st_size / 1e6:.0f} MB).")
    print(f"Next: llama-server -m {shlex.quote(str(path))}")
    return 0


def _find(model_or_job: str, folder: Path) -> tuple[str, Path | None]:
    """Name and folder of the model; without a folder it is the base."""
    if model_or_job == LANGUAGE_MODEL:
        return LANGUAGE_MODEL, None
    jobs = jobs_in(folder)
    model, _, step = model_or_job.partition(CHECKPOINT)
    everything = jobs.all() if jobs else []
    for job in everything:
        if model in (job["id"], job["fine_tuned_model"]) and jobs:
            return _model_of(job, step, jobs)
    names = [
        job["fine_tuned_model"] for job in everything if job["fine_tuned_model"] and _of_language_model(job)
    ]
    raise InputError(unknown("model or job", model_or_job, [*names, LANGUAGE_MODEL]))


def _model_of(job: dict[str, Any], step: str, jobs: JobStore) -> tuple[str, Path]:
    """Name and folder of what `job` made; `step`: of its checkpoint there, if that is not empty."""
    name, folder = job["fine_tuned_model"] or job["id"], jobs.work_folder(job["id"])
    if not _of_language_model(job):
        raise InputError(
            f"{name} was fine-tuned from {job['model']}, which has no weights to export; "
            f"fine-tune {LANGUAGE_MODEL}: set AGENT_MODEL={LANGUAGE_MODEL}"
        )
    steps = sorted(path.name.removeprefix("step-") for path in folder.glob("step-*"))
    if step and step not in steps:
        raise InputError(unknown("checkpoint of this model:", step, steps))
    if not step and not job["fine_tuned_model"]:
        checkpoint = f" or export a checkpoint: {name}{CHECKPOINT}{steps[-1]}" if steps else ""
        raise InputError(f"job {name} is {job['status']} and has no model; choose another job{checkpoint}")
    return (f"{name}{CHECKPOINT}{step}", folder / f"step-{step}") if step else (name, folder)


def _of_language_model(job: dict[str, Any]) -> bool:
    return base_model(job["model"]) == LANGUAGE_MODEL
