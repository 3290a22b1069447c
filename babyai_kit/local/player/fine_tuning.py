"""Works on fine-tuning jobs, one at a time, and finds who answers for the models that come of them.

Knows the life of a job (validating_files, queued, running, then succeeded, failed or cancelled) and the
trainers; nothing of HTTP. What it decides is on disk before it is told, so that a restart finds it: a
job that a restart broke off is begun again if its trainer can, and fails otherwise.
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from babyai_kit.local.player.chat_endpoint import Player
from babyai_kit.local.player.chat_request import ProtocolError
from babyai_kit.local.player.file_store import FileStore
from babyai_kit.local.player.job_store import ENDED, JobReport, JobStore
from babyai_kit.local.player.trainer import Trainer, TrainingError, TrainingJob
from babyai_kit.local.player.training_file import FEWEST, Example, read_examples

ORGANIZATION = "offline"


class FineTuning:
    """The jobs of a server over `trainers`. Made within the server's event loop."""

    def __init__(self, jobs: JobStore, files: FileStore, trainers: Sequence[Trainer]) -> None:
        self.jobs, self.files = jobs, files
        self._trainers = {model: trainer for trainer in trainers for model in trainer.models}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    def resume(self) -> None:
        """Take up the jobs that nobody works on, oldest first."""
        for job in reversed(self.jobs.all()):
            if job["status"] not in ENDED:
                self._start(job["id"], again=True)

    def create(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Begin a job. Raises ProtocolError (400) for a model or file that is not here."""
        if self._base(fields["model"]) is None:
            raise ProtocolError(
                400,
                f"Model {fields['model']} is not available for fine-tuning or does not exist.",
                code="model_not_available",
                param="model",
            )
        for param in ("training_file", "validation_file"):
            if fields[param] is not None:
                self._check_file(fields[param], param)
        job = self.jobs.add({**fields, "organization_id": ORGANIZATION, "status": "validating_files"})
        self._report(job).event(f"Created fine-tuning job: {job['id']}")
        self._start(job["id"])
        return job

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """Stop a job. Raises ProtocolError (404; 400 for one that has ended; 409 for another process's)."""
        job = self.jobs.get(job_id)
        if job["status"] in ENDED:
            raise ProtocolError(400, f"Job has already completed: {job_id}", code="invalid_job_status")
        task = self._tasks.get(job_id)
        if task is None:
            raise ProtocolError(409, f"Job {job_id} is worked on by another process: cancel it there.")
        # Written first: the worker tells a user's cancellation from the server's end by it.
        job = self.jobs.update(job_id, status="cancelled", finished_at=int(time.time()))
        self._report(job).event("Job cancelled by user request")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return job

    async def close(self) -> None:
        """Leave the jobs as they are; the next start finds them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def models(self) -> list[str]:
        """Fine-tuned models that are served, newest first."""
        return [
            name
            for job in self.jobs.all()
            if (name := job["fine_tuned_model"]) and self._base(name) is not None
        ]

    async def player(self, name: str) -> Player | None:
        """Who answers for the fine-tuned model or checkpoint `name`; None if nobody does."""
        found = self._base(name)
        if found is None:
            return None
        trainer, base, folder = found
        return await asyncio.to_thread(trainer.player, base, folder)

    def _base(self, model: str) -> tuple[Trainer, str, Path | None] | None:
        """Trainer, base model and folder behind a model's name."""
        if model in self._trainers:
            return self._trainers[model], model, None
        if not model.startswith("ft:"):
            return None
        tuned, _, step = model.partition(":ckpt-step-")
        for job in self.jobs.all():
            if job["fine_tuned_model"] != tuned:
                continue
            folder = self.jobs.work_folder(job["id"])
            if step:
                folder /= f"step-{step}" if step.isdecimal() else ""
            root = self._base(job["model"])
            return (root[0], root[1], folder) if root and folder.is_dir() else None
        return None

    def _check_file(self, file_id: str, param: str) -> None:
        try:
            purpose = self.files.get(file_id)["purpose"]
        except ProtocolError:
            raise ProtocolError(
                400, f"invalid {param}: {file_id}", code="invalid_file", param=param
            ) from None
        if purpose != "fine-tune":
            raise ProtocolError(
                400,
                f"File {file_id} has purpose {purpose}; expected fine-tune.",
                code="invalid_file_purpose",
                param=param,
            )

    def _start(self, job_id: str, *, again: bool = False) -> None:
        task = asyncio.get_running_loop().create_task(self._work(job_id, again))
        self._tasks[job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    async def _work(self, job_id: str, again: bool) -> None:
        lock = FileLock(self.jobs.folder(job_id) / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return
        try:
            await self._through(self.jobs.get(job_id), again)
        except TrainingError as error:
            self._fail(job_id, str(error), error.code, error.param)
        except (ProtocolError, OSError) as error:
            self._fail(job_id, f"The job could not go on: {error}", "server_error", None)
        except Exception as error:
            self._fail(
                job_id, f"The trainer broke off ({type(error).__name__}: {error})", "server_error", None
            )
        finally:
            lock.release()

    async def _through(self, job: dict[str, Any], again: bool) -> None:
        found = self._base(job["model"])
        if found is None:
            raise TrainingError(
                f"Nobody here trains {job['model']}", code="model_not_available", param="model"
            )
        trainer, base, base_folder = found
        report, job_id = self._report(job), job["id"]
        if again and job["status"] == "running" and not trainer.resumable:
            raise TrainingError(
                "The server was restarted while the job ran; create it again",
                code="server_restarted",
                param=None,
            )
        if job["status"] == "validating_files":
            report.event(f"Validating training file: {job['training_file']}")
        training = await asyncio.to_thread(self._validate, job, "training_file")
        validation = await asyncio.to_thread(self._validate, job, "validation_file")
        assert training is not None
        if job["status"] == "validating_files":
            self.jobs.update(job_id, status="queued")
            report.event("Files validated, moving job to queued state")
        async with self._turn:
            self.jobs.update(job_id, status="running")
            report.event("Fine-tuning job started")
            settings = {k: v for k, v in job["hyperparameters"].items() if v != "auto"}
            await trainer.train(
                TrainingJob(
                    id=job_id,
                    model=base,
                    training_file=training[0],
                    validation_file=validation[0] if validation else None,
                    seed=job["seed"],
                    hyperparameters=settings,
                    suffix=job["user_provided_suffix"] or "",
                    folder=self.jobs.work_folder(job_id),
                    base_folder=base_folder,
                ),
                report,
            )
        tokens = sum(example.tokens for example in training[1]) * settings["n_epochs"]
        results = await asyncio.to_thread(
            self.files.add, "step_metrics.csv", "fine-tune-results", _table(report.curves)
        )
        report.event(f"New fine-tuned model created: {self._model_name(job)}")
        self.jobs.update(
            job_id,
            status="succeeded",
            fine_tuned_model=self._model_name(job),
            finished_at=int(time.time()),
            trained_tokens=tokens,
            result_files=[results["id"]],
        )
        report.event("The job has successfully completed")

    def _validate(self, job: dict[str, Any], param: str) -> tuple[Path, tuple[Example, ...]] | None:
        """A copy of the job's file, which its owner may delete meanwhile, and its examples."""
        if job[param] is None:
            return None
        copy = self.jobs.folder(job["id"]) / f"{param}.jsonl"
        if not copy.exists():
            part = copy.with_suffix(".part")
            shutil.copyfile(self.files.content(job[param]), part)
            part.replace(copy)
        fewest = FEWEST if param == "training_file" else 1
        return copy, read_examples(copy, fewest=fewest, param=param)

    def _fail(self, job_id: str, message: str, code: str, param: str | None) -> None:
        error = {"code": code, "message": message, "param": param}
        job = self.jobs.update(job_id, status="failed", finished_at=int(time.time()), error=error)
        self._report(job).event(message, level="error", data={"error_code": code})

    def _report(self, job: dict[str, Any]) -> JobReport:
        return JobReport(self.jobs, job["id"], self._model_name(job))

    def _model_name(self, job: dict[str, Any]) -> str:
        found = self._base(job["model"])
        root = found[1] if found else job["model"]
        suffix = re.sub(r"[^A-Za-z0-9._-]+", "-", job["user_provided_suffix"] or "").strip("-")[:40]
        # Drawn from the job's id, so that it is the same whenever it is asked for.
        return f"ft:{root}:{ORGANIZATION}:{suffix}:{job['id'][-8:]}"


def _table(rows: Sequence[dict[str, float]]) -> bytes:
    """The result file: a CSV line per step, with a column for every figure told."""
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["step"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
