"""A fine-tuning job and its file, job.json beside the training files.

The file says how far the job came (uploaded, created, ended) and is always replaced as a whole.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from babyai_kit.atomic_files import write_json_atomically
from babyai_kit.errors import FileWriteError, InputError, JournalError
from babyai_kit.finetune.export import Export
from babyai_kit.finetune.job_answers import shown
from babyai_kit.finetune.server import address_of
from babyai_kit.hostile_text import parse_json


@dataclass(frozen=True)
class Job:
    """A fine-tuning job as last seen. Everything but `folder` is in its job.json."""

    folder: Path
    model: str
    """The base that is fine-tuned."""
    variant: str
    """Whose episodes it learns from."""
    digests: dict[str, str]
    """Of the training files (see Export)."""
    base_url: str = ""
    """Of the server, without credentials; empty for the offline player, whose address changes from start to
    start."""
    job_id: str = ""
    """Empty until the server has created it."""
    training_file: str = ""
    validation_file: str = ""
    status: str = "uploading"
    """As the server names it."""
    outcome: str = "running"
    """running, succeeded, failed or cancelled."""
    fine_tuned_model: str = ""
    error: str = ""
    """Why it failed, in the provider's words."""
    trained_tokens: int | None = None

    @property
    def ended(self) -> bool:
        # Some servers report success a little before they name the model.
        return self.outcome != "running" and (self.outcome != "succeeded" or bool(self.fine_tuned_model))

    def __str__(self) -> str:
        model = f", {self.fine_tuned_model}" if self.fine_tuned_model else ""
        error = f" ({self.error})" if self.error else ""
        return f"job {shown(self.job_id) or '(not created yet)'}: {self.status}{model}{error}"


def read_job(folder: str | Path) -> Job:
    """The job of `folder` as last seen. Raises InputError if none was launched there."""
    job = _read(Path(folder))
    if job is None or not job.job_id:
        raise InputError(f"no job was launched in {folder}; launch one there first")
    return job


def write_job(job: Job) -> Job:
    """Replace the job's job.json; returns the job. Raises JournalError."""
    content = {name: value for name, value in asdict(job).items() if name != "folder"}
    try:
        write_json_atomically(job.folder / "job.json", content)
    except FileWriteError as error:
        # The job may exist at its server already, and only this message has its id then.
        raise JournalError(f"{error}; not recorded: {job}") from None
    return job


def known_job(export: Export, model: str, base_url: str | None) -> Job | None:
    """The job begun for these very files, this base and this server (empty: the offline player; None: any),
    unless it failed or was cancelled. Raises InputError if the folder has another job that may still run: its
    id would be lost.
    """
    job = _read(export.folder)
    if job is None or job.outcome in ("failed", "cancelled"):
        return None
    if (job.digests, job.model) == (export.digests, model) and base_url in (None, job.base_url):
        return job
    if job.job_id and not job.ended:
        raise InputError(
            f"job {job.job_id} of {export.folder} may still be running on other examples or another server; "
            "wait for it or cancel it first, or move its job.json away"
        )
    return None


def _read(folder: Path) -> Job | None:
    try:
        content = parse_json((folder / "job.json").read_text(encoding="utf-8"))
        # Earlier versions wrote the address with its credentials.
        return Job(folder=folder, **content | {"base_url": address_of(content["base_url"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{folder / 'job.json'} is damaged; move it away and launch again") from None
