"""Fine-tuning jobs on disk, a folder for each: the job, its events, its checkpoints, as OpenAI's objects.

`job.json` is replaced as a whole; events and checkpoints are appended a line at a time. Several processes
may read one folder; the one that works on a job holds the lock in it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyai_kit.atomic_files import write_json_atomically
from babyai_kit.configuration.models import CHECKPOINT
from babyai_kit.local.player.file_store import new_id
from babyai_kit.local.player.protocol import ProtocolError

ENDED = ("succeeded", "failed", "cancelled")
EVENTS, CHECKPOINTS = "events.jsonl", "checkpoints.jsonl"
_ID = re.compile(r"ftjob-[A-Za-z0-9]{1,64}")


class JobStore:
    """The jobs under `folder`, which is created. Each is described by OpenAI's job object (a dict)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a new job with these `fields`; returns its object."""
        job = {
            "id": new_id("ftjob-"),
            "object": "fine_tuning.job",
            "created_at": int(time.time()),
            "finished_at": None,
            "estimated_finish": None,
            "fine_tuned_model": None,
            "result_files": [],
            "trained_tokens": None,
            "error": None,
            "integrations": [],
            **fields,
        }
        self.work_folder(job["id"]).mkdir(parents=True)
        self._write(job)
        return job

    def get(self, job_id: str) -> dict[str, Any]:
        """Raises ProtocolError (404) for an unknown id."""
        if _ID.fullmatch(job_id):
            try:
                return json.loads((self.folder(job_id) / "job.json").read_text(encoding="utf-8"))
            except FileNotFoundError:
                pass
        raise ProtocolError(
            404, f"Could not find fine tune: {job_id}", code="fine_tune_not_found", param="fine_tuning_job_id"
        )

    def update(self, job_id: str, **changes: Any) -> dict[str, Any]:
        with self._lock:
            job = self.get(job_id) | changes
            self._write(job)
        return job

    def all(self) -> list[dict[str, Any]]:
        """Newest first."""
        paths = sorted(self._folder.glob("ftjob-*/job.json"), reverse=True)
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def folder(self, job_id: str) -> Path:
        return self._folder / job_id

    def work_folder(self, job_id: str) -> Path:
        """The trainer's own, where it keeps the model."""
        return self.folder(job_id) / "model"

    def state_folder(self, job_id: str) -> Path:
        """What the trainer needs to go on after an interruption."""
        return self.folder(job_id) / "state"

    def rows(self, job_id: str, name: str) -> list[dict[str, Any]]:
        """Of a job's file `name` (EVENTS or CHECKPOINTS), newest first. Raises ProtocolError (404)."""
        self.get(job_id)
        try:
            lines = (self.folder(job_id) / name).read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in reversed(lines[:-1])]

    def checkpoints(self, job_id: str) -> list[dict[str, Any]]:
        """Newest first; of a step that a restart repeated, the last. Raises ProtocolError (404)."""
        oldest_first = reversed(self.rows(job_id, CHECKPOINTS))
        by_step = {row["step_number"]: row for row in oldest_first}
        return [by_step[step] for step in sorted(by_step, reverse=True)]

    def append(self, job_id: str, name: str, row: Mapping[str, Any]) -> None:
        """Add a line to a job's file `name`. Safe from any thread."""
        with self._lock, (self.folder(job_id) / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _write(self, job: dict[str, Any]) -> None:
        write_json_atomically(self.folder(job["id"]) / "job.json", job)


class JobLog:
    """The TrainingLog of a job in a JobStore. `model_name`: the model that the job makes."""

    def __init__(self, jobs: JobStore, job_id: str, model_name: str) -> None:
        self._jobs, self._id, self._model = jobs, job_id, model_name

    def result_file(self) -> bytes:
        """CSV with a row per step and a column for every metric reported; of a step that a restart repeated,
        the last."""
        events = reversed(self._jobs.rows(self._id, EVENTS))
        steps = {event["data"]["step"]: event["data"] for event in events if event["type"] == "metrics"}
        rows = [steps[step] for step in sorted(steps)]
        columns = list(dict.fromkeys(name for row in rows for name in row)) or ["step"]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    def event(
        self,
        message: str,
        *,
        level: str = "info",
        data: Mapping[str, Any] | None = None,
        kind: str = "message",
    ) -> None:
        row = {
            "id": new_id("ftevent-"),
            "object": "fine_tuning.job.event",
            "created_at": int(time.time()),
            "level": level,
            "message": message,
            "data": data,
            "type": kind,
        }
        self._jobs.append(self._id, EVENTS, row)

    def metrics(self, step: int, **values: float) -> None:
        row = {"step": step, **values}
        text = ", ".join(f"{name.replace('_', ' ')}={value:.4g}" for name, value in values.items())
        self.event(f"Step {step}: {text}", data=row, kind="metrics")

    def checkpoint(self, step: int, metrics: Mapping[str, float]) -> None:
        name = f"{self._model}{CHECKPOINT}{step}"
        row = {
            "id": new_id("ftckpt_"),
            "object": "fine_tuning.job.checkpoint",
            "created_at": int(time.time()),
            "fine_tuned_model_checkpoint": name,
            "fine_tuning_job_id": self._id,
            "metrics": {"step": step, **metrics},
            "step_number": step,
        }
        self._jobs.append(self._id, CHECKPOINTS, row)
        self.event(f"Checkpoint created at step {step}", data={"step": step, "checkpoint": name})
