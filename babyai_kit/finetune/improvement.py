"""`improve`: collect, curate, fine-tune, register, and collect again with the tuned variant.

This is the order of the rounds and the seeds that each part may use; the parts themselves are in the other
modules. Runs, jobs and registrations are found again by name, so that the same call goes on where an earlier
one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pandas as pd

from babyai_kit.agents.interface import MakeAgent
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.environment import TASKS
from babyai_kit.errors import InputError, ModelError
from babyai_kit.experiment.experiment import run_experiment
from babyai_kit.finetune.bases import check_base
from babyai_kit.finetune.curation import curate
from babyai_kit.finetune.evaluation import Evaluation, evaluate
from babyai_kit.finetune.experience import player_name, prompt_variant
from babyai_kit.finetune.export import export
from babyai_kit.finetune.job import Job
from babyai_kit.finetune.job_control import check_is_there, launch, wait
from babyai_kit.finetune.names import job_suffix, part_name, tuned_name
from babyai_kit.finetune.registration import register_variant
from babyai_kit.gateway.connect import connect
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import run_folder
from babyai_kit.runs.seed_blocks import TEST, TRAIN, VALIDATION, check_block, check_disjoint


@dataclass(frozen=True)
class Round:
    """One round of the loop."""

    number: int
    """From 1."""
    variant: str
    """The variant, or the agent, that collected the episodes."""
    train_success: float
    """Its success rate on the train seeds; not a measure of gain."""
    examples: int
    job: Job
    tuned: str
    """The variant that was fine-tuned on them."""


@dataclass(frozen=True)
class Improvement:
    """The outcome of `improve`."""

    rounds: tuple[Round, ...]
    validation: pd.DataFrame
    """Episodes of the base and every tuned variant on the validation seeds."""
    chosen: str
    """The tuned variant with the highest success rate there; the earliest in case of a tie."""
    evaluation: Evaluation
    """Of the chosen variant against the base, on test seeds."""

    def __str__(self) -> str:
        rates = self.validation.groupby("variant")["success"].mean()
        lines = [
            f"round {r.number}: {r.variant} succeeded on {r.train_success:.1%} of the train episodes; "
            f"{r.examples:,} examples from them made {r.tuned}"
            for r in self.rounds
        ]
        validation = ", ".join(f"{variant} {rate:.1%}" for variant, rate in rates.items())
        return "\n".join([*lines, f"validation: {validation}; chosen: {self.chosen}", str(self.evaluation)])


async def improve(
    name: str,
    variant: str = "history_and_reasoning",
    *,
    rounds: int = 1,
    explorer: str | MakeAgent | None = None,
    train_repeats: int | None = None,
    tasks: Iterable[str] = TASKS,
    train: Iterable[int] = TRAIN,
    validation: Iterable[int] = VALIDATION,
    test: Iterable[int] = TEST,
    min_return: float = 0.5,
    max_per_task: int | None = 40,
    shortest_only: bool = False,
    drop_detours: bool = False,
    validation_fraction: float = 0.2,
    n_epochs: int | None = None,
    open_session: Callable[[], AbstractAsyncContextManager[Session]] = connect,
    results: StrPath = PROJECT_RESULTS,
    say: Callable[[str], None] = print,
    **options: Any,
) -> Improvement:
    """Let `variant` learn from its own episodes, `rounds` times, and measure the gain.

    In each round the latest variant plays the train seeds, its best episodes are curated (see `curate`), and
    its model is fine-tuned on them and registered as `VARIANT_NAME_ROUND`. Then all variants play the
    validation seeds, and only the tuned variant that does best there is compared with the base on the test
    seeds. Runs are called `NAME-ROUND-train`, `NAME-validation` and `NAME-test`; training files and job are
    in the folder `finetune` of the train run. `options` are those of `run_experiment`, for every run.
    `explorer`: who plays the train seeds in the first round in place of `variant`, which learns from it as if
    it had been asked itself (see `curate`'s `prompt`): an agent such as `explore:share=1`, or another
    variant.
    `train_repeats`: how often each train seed is played; None: as often as any other.
    Raises InputError for seeds outside their blocks, a base that OpenAI is known not to fine-tune, or a
    gateway over HTTP, which must be restarted by hand between rounds; ModelError, with the provider's reason,
    if a job fails.
    """
    tasks, train, validation, test = list(tasks), list(train), list(validation), list(test)
    check_block(train, "train", "training")
    check_block(validation, "validation", "the choice of a variant")
    check_block(test, "test", "an evaluation")
    check_disjoint(train=train, validation=validation, test=test)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise InputError(f"rounds {rounds!r} is not valid; use a whole number of at least 1")
    runs = [part_name(name, f"{number}-train") for number in range(1, rounds + 1)]
    validation_run, test_run = part_name(name, "validation"), part_name(name, "test")
    options |= {"results": results}
    collecting = {} if train_repeats is None else {"repeats": train_repeats}
    latest = variant
    finished: list[Round] = []
    for number, run in enumerate(runs, start=1):
        folder = run_folder(results, run) / "finetune"
        async with open_session() as session:
            if not session.embedded:
                raise InputError(
                    "a gateway over HTTP must be restarted to serve a new variant; unset "
                    "TENSORZERO_GATEWAY_URL, or go step by step: python -m babyai_kit finetune --help"
                )
            options.setdefault("models", [session.config.first_model])
            # The episodes would be paid for in vain.
            if latest in session.config.variants:
                own = session.config.variants[latest].own
                base = own.name if own else options["models"][0]
                check_is_there(base, session)
                check_base(base, session.model_url)
            player = explorer if explorer is not None and number == 1 else latest
            if player != latest:
                prompt_variant(session.config, latest)
            played_by = player if player == latest else player_name(player)
            say(f"Round {number} of {rounds}: {played_by} plays the train block.")
            known = played_by in session.config.variants or player == latest
            whose = {"variants": [played_by]} if known else {"agents": [player]}
            episodes = await run_experiment(
                session, run, tasks=tasks, seeds=train, **whose, **{**options, **collecting}
            )
            curation = await curate(
                session,
                run,
                player,
                prompt=None if player == latest else latest,
                min_return=min_return,
                max_per_task=max_per_task,
                shortest_only=shortest_only,
                drop_detours=drop_detours,
                model=None if session.config.variants[latest].own else options["models"][0],
                episodes=episodes,
                results=results,
            )
            say(str(curation))
            files = export(curation, folder, validation_fraction=validation_fraction)
            suffix = job_suffix(name, str(number))
            job = await launch(session, files, suffix=suffix, n_epochs=n_epochs, say=say)
            job = await wait(session, folder, say=say)
            config, settings = session.config.path, session.settings
        if job.outcome != "succeeded" or not job.fine_tuned_model:
            raise ModelError(f"{job}; fix the cause and call improve again", kind="fine-tuning")
        tuned = tuned_name(variant, name, str(number))
        register_variant(tuned, model=job.fine_tuned_model, like=variant, config=config, settings=settings)
        finished.append(
            Round(
                number=number,
                variant=played_by,
                train_success=float(episodes["success"].mean()),
                examples=len(curation.examples),
                job=job,
                tuned=tuned,
            )
        )
        latest = tuned
    async with open_session() as session:
        candidates = [variant, *(r.tuned for r in finished)]
        validation_episodes = await run_experiment(
            session, validation_run, candidates, tasks, validation, **options
        )
        rates = validation_episodes.groupby("variant")["success"].mean()
        chosen = max(candidates[1:], key=lambda v: float(rates[v]))
        evaluation = await evaluate(
            session,
            test_run,
            base=variant,
            tuned=chosen,
            tasks=tasks,
            seeds=test,
            train=train,
            **options,
        )
    return Improvement(
        rounds=tuple(finished), validation=validation_episodes, chosen=chosen, evaluation=evaluation
    )
