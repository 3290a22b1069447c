"""Works on fine-tuning jobs, one at a time.

A job's status goes from validating_files to queued and running, then to succeeded, failed or cancelled. Each
change is on disk before it is reported, so that a restart finds it: a job that a restart interrupted starts
again if its trainer can do so, and fails otherwise. One whose model this server does not train (its packages
are missing here) stays as it is for a server that does.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from babyai_kit.atomic_files import write_atomically
from babyai_kit.errors import FileWriteError
from babyai_kit.local.player.file_store import FileStore
from babyai_kit.local.player.job_store import ENDED, JobLog, JobStore
from babyai_kit.local.player.model_directory import ORGANIZATION, ModelDirectory
from babyai_kit.local.player.protocol import ProtocolError
from babyai_kit.local.player.trainer import TrainingError, TrainingJob
from babyai_kit.local.player.training_file import MIN_EXAMPLES, Example, read_examples


class FineTuning:
    """The jobs of a server. Needs a running event loop."""

    def __init__(self, jobs: JobStore, files: FileStore, models: ModelDirectory) -> None:
        self.jobs, self.files, self.models = jobs, files, models
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._training = asyncio.Lock()

    def resume(self) -> None:
        """Start the jobs that have not ended, oldest first."""
        for job in reversed(self.jobs.all()):
            if job["status"] in ENDED:
                continue
            if self.models.find(job["model"]):
                self._start(job["id"], restarted=True)
                continue
            with contextlib.suppress(Timeout), self._lock(job["id"]):  # else a server works on it
                message = f"This server does not train {job['model']}; the job waits for one that does"
                self._log(job).event(message, level="warn")

    def create(self, fields: dict[str, Any], *, hyperparameters_at: str) -> dict[str, Any]:
        """Start a new job. Raises ProtocolError (400) for a model or file that does not exist, and for
        hyperparameters, found in the request `hyperparameters_at`, that the model does not take."""
        from babyai_kit.local.player.validation import validate

        source = self.models.find(fields["model"])
        if source is None:
            raise ProtocolError(
                400,
                f"Model {fields['model']} is not available for fine-tuning or does not exist.",
                code="model_not_available",
                param="model",
            )
        for param in ("training_file", "validation_file"):
            if fields[param] is not None:
                self._check_file(fields[param], param)
        known = source.trainer.hyperparameters()
        given = fields["hyperparameters"]
        hyperparameters = validate(known, given, place=hyperparameters_at).model_dump(mode="json")
        job = self.jobs.add(
            {
                **fields,
                "hyperparameters": hyperparameters,
                "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
                "organization_id": ORGANIZATION,
                "status": "validating_files",
            }
        )
        self._log(job).event(f"Created fine-tuning job: {job['id']}")
        self._start(job["id"])
        return job

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """Stop a job. Raises ProtocolError (404; 400 for one that has ended; 409 for another process's)."""
        job = self.jobs.get(job_id)
        if job["status"] in ENDED:
            raise ProtocolError(400, f"Job has already completed: {job_id}", code="invalid_job_status")
        task = self._tasks.get(job_id)
        if task is None:
            try:
                with self._lock(job_id):  # nobody works on it: it waits for a server that trains its model
                    job = self._cancelled(job_id)
                    self._forget_state(job_id)
                    return job
            except Timeout:
                message = f"Another process is working on job {job_id}: cancel it there."
                raise ProtocolError(409, message) from None
        # Written first, so that a server that stops right now does not resume the job at its next start.
        job = self._cancelled(job_id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return job

    async def close(self) -> None:
        """Stop working and leave the jobs as they are; the next start resumes them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check_file(self, file_id: str, param: str) -> None:
        try:
            purpose = self.files.get(file_id)["purpose"]
        except ProtocolError:
            message = f"invalid {param}: {file_id}"
            raise ProtocolError(400, message, code="invalid_file", param=param) from None
        if purpose != "fine-tune":
            message = f"File {file_id} has purpose {purpose}; expected fine-tune."
            raise ProtocolError(400, message, code="invalid_file_purpose", param=param)

    def _start(self, job_id: str, *, restarted: bool = False) -> None:
        task = asyncio.get_running_loop().create_task(self._work(job_id, restarted))
        self._tasks[job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    def _cancelled(self, job_id: str) -> dict[str, Any]:
        job = self.jobs.update(job_id, status="cancelled", finished_at=int(time.time()))
        self._log(job).event("Job cancelled by user request")
        return job

    def _lock(self, job_id: str) -> FileLock:
        return FileLock(self.jobs.folder(job_id) / ".lock", timeout=0)

    async def _work(self, job_id: str, restarted: bool) -> None:
        lock = self._lock(job_id)
        try:
            lock.acquire()
        except Timeout:  # another process works on it
            return
        try:
            await self._run(self.jobs.get(job_id), restarted)
        except TrainingError as error:
            self._fail(job_id, str(error), error.code, error.param)
        except (ProtocolError, FileWriteError, OSError) as error:
            self._fail(job_id, f"The job could not continue: {error}", "server_error", None)
        except Exception as error:
            message = f"The trainer failed ({type(error).__name__}: {error})"
            self._fail(job_id, message, "server_error", None)
        finally:
            lock.release()
            if self.jobs.get(job_id)["status"] in ENDED:
                self._forget_state(job_id)

    def _forget_state(self, job_id: str) -> None:
        shutil.rmtree(self.jobs.state_folder(job_id), ignore_errors=True)

    async def _run(self, job: dict[str, Any], restarted: bool) -> None:
        source = self.models.find(job["model"])
        if source is None:
            message = f"This server does not train {job['model']}"
            raise TrainingError(message, code="model_not_available", param="model")
        log, job_id = self._log(job), job["id"]
        if restarted and job["status"] == "running" and not source.trainer.resumable:
            message = "The server was restarted while the job ran; create it again"
            raise TrainingError(message, code="server_restarted", param=None)
        validating = job["status"] == "validating_files"
        if validating:
            log.event(f"Validating training file: {job['training_file']}")
        training_file, examples = await asyncio.to_thread(self._read_file, job, "training_file", MIN_EXAMPLES)
        validation_file = None
        if job["validation_file"] is not None:
            validation_file, _ = await asyncio.to_thread(self._read_file, job, "validation_file", 1)
        if validating:
            self.jobs.update(job_id, status="queued")
            log.event("Files validated, moving job to queued state")
        chosen = job["hyperparameters"].items()
        hyperparameters = {name: value for name, value in chosen if value not in ("auto", None)}
        async with self._training:
            self.jobs.update(job_id, status="running")
            log.event("Fine-tuning job started")
            training_job = TrainingJob(
                id=job_id,
                model=source.base,
                training_file=training_file,
                validation_file=validation_file,
                seed=job["seed"],
                hyperparameters=hyperparameters,
                suffix=job["user_provided_suffix"] or "",
                folder=self.jobs.work_folder(job_id),
                state_folder=self.jobs.state_folder(job_id),
                base_folder=source.folder,
            )
            tokens = await source.trainer.train(training_job, log)
        if tokens is None:
            tokens = sum(example.tokens for example in examples) * hyperparameters["n_epochs"]
        results = await asyncio.to_thread(
            self.files.add, "step_metrics.csv", "fine-tune-results", log.result_file()
        )
        name = self.models.result_name(job)
        log.event(f"New fine-tuned model created: {name}")
        self.jobs.update(
            job_id,
            status="succeeded",
            fine_tuned_model=name,
            finished_at=int(time.time()),
            trained_tokens=tokens,
            result_files=[results["id"]],
        )
        log.event("The job has successfully completed")

    def _read_file(
        self, job: dict[str, Any], param: str, min_examples: int
    ) -> tuple[Path, tuple[Example, ...]]:
        """A copy of the job's file, which its owner may delete meanwhile, and its examples. Blocks."""
        copy = self.jobs.folder(job["id"]) / f"{param}.jsonl"
        if not copy.exists():
            write_atomically(copy, self.files.content(job[param]).read_bytes())
        return copy, read_examples(copy, min_examples=min_examples, param=param)

    def _fail(self, job_id: str, message: str, code: str, param: str | None) -> None:
        error = {"code": code, "message": message, "param": param}
        job = self.jobs.update(job_id, status="failed", finished_at=int(time.time()), error=error)
        self._log(job).event(message, level="error", data={"error_code": code})

    def _log(self, job: dict[str, Any]) -> JobLog:
        return JobLog(self.jobs, job["id"], self.models.result_name(job))
