"""The other way to launch: the gateway's own optimization workflow, which fine-tunes at OpenAI only.

The curated inferences become a dataset first, since the workflow's own filters cannot leave out single steps.
Unlike `job_control.launch`, the gateway renders and uploads, and it splits validation examples off by step,
not by episode (so none are split off unless asked for). Once launched, the job is like any other: `wait` and
`cancel` of `job_control` work for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from babyai_kit.configuration import addresses
from babyai_kit.errors import InputError, ModelError, ServiceError
from babyai_kit.finetune.bases import check_base
from babyai_kit.finetune.costs import check_budget, estimate_training
from babyai_kit.finetune.curation import Curation
from babyai_kit.finetune.export import export
from babyai_kit.finetune.job import Job, known_job, write_job
from babyai_kit.finetune.job_answers import shown
from babyai_kit.finetune.job_control import check_is_there
from babyai_kit.gateway.session import Session
from babyai_kit.runs.seed_blocks import check_block

_OF_OPENAI = re.compile(r"Error from openai (?:server|client): (.*)")
"""The gateway takes OpenAI's refusals for jobs that it cannot read."""


async def launch_workflow(
    session: Session,
    curation: Curation,
    folder: str | Path,
    *,
    model: str | None = None,
    suffix: str = "act",
    n_epochs: int | None = None,
    seed: int | None = None,
    val_fraction: float | None = None,
    max_cost_usd: float | None = None,
    say: Callable[[str], None] = print,
) -> Job:
    """Fine-tune on the examples of `curation` through the gateway; returns the job without waiting.

    The training files are written to `folder` too, for the estimate and for inspection. `model`: the base;
    `n_epochs`: None lets OpenAI choose. Called again with the same examples it returns the existing job.
    Raises InputError for settings without OpenAI, examples with another prompt than they were asked with, a
    base that it does not fine-tune, seeds outside the train block or examples that would be refused;
    ModelError or GatewayError if OpenAI or the gateway refuses.
    """
    check_block(curation.seeds, "train", "training")
    if curation.player:
        raise InputError(
            "the gateway's workflow learns from prompts as they were asked; use launch(), or leave prompt out"
        )
    if session.settings.openai_base_url != addresses.OPENAI:
        raise InputError(
            "the gateway's workflow fine-tunes at OpenAI only; set OPENAI_API_KEY and unset OPENAI_BASE_URL, "
            "or use launch() for any other server"
        )
    files = export(curation, folder, validation_fraction=0.0)
    model = model or files.model
    settings: dict[str, Any] = {"n_epochs": n_epochs, "seed": seed}
    known = known_job(files, model, None, settings)
    if known and known.job_id:
        say(f"Already launched: {known}")
        return known
    check_is_there(model, session)
    if note := check_base(model, session.settings.openai_base_url):
        say(f"{note}.")
    estimate = estimate_training(files, model=model, n_epochs=n_epochs, config=session.config.path)
    say(f"Fine-tuning {model}: {estimate}.")
    check_budget(estimate, max_cost_usd)
    dataset = await make_dataset(session, curation)
    optimizer = {"type": "openai_sft", "model": model, "suffix": suffix}
    optimizer |= {name: value for name, value in settings.items() if value is not None}
    try:
        handle = await session.launch_workflow(curation.variant, dataset, optimizer, val_fraction)
    except ServiceError as error:
        hidden = _OF_OPENAI.search(str(error))
        if hidden is None:
            raise
        raise ModelError(
            "OpenAI did not create the job, and the gateway hides why; launch without --workflow to see the "
            f"reason ({shown(hidden[1])})",
            kind="refused",
        ) from None
    job = Job(
        folder=Path(folder),
        model=model,
        variant=curation.variant,
        digests=files.digests,
        base_url=handle["job_api_url"].partition("fine_tuning/jobs")[0],
        job_id=handle["job_id"],
        status="created",
        settings=settings,
    )
    say(str(write_job(job)))
    return job


async def make_dataset(session: Session, curation: Curation) -> str:
    """Put the curated inferences into a dataset named after them, once; returns its name."""
    name = f"curated-{curation.variant}-{curation.digest}"
    await session.fill_dataset(name, [example.inference_id for example in curation.examples])
    return name
