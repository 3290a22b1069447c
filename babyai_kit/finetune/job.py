"""A fine-tuning job and its file, job.json beside the training files.

The file says how far the job came (uploaded, created, ended) and is always replaced as a whole. A job that
another one takes the place of is kept in the folder `jobs`, so that it is found again when its examples and
settings come back: a job is paid for once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from babyai_kit.atomic_files import write_json_atomically
from babyai_kit.configuration.project import StrPath
from babyai_kit.errors import FileWriteError, InputError, JournalError
from babyai_kit.finetune.export import Export
from babyai_kit.finetune.job_answers import shown
from babyai_kit.finetune.server import address_of
from babyai_kit.hostile_text import parse_json

JOB = "job.json"
EARLIER = "jobs"


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
    settings: Mapping[str, int | None] | None = None
    """n_epochs and seed as asked for; None: not known, as of jobs that earlier versions launched."""

    @property
    def ended(self) -> bool:
        # Some servers report success a little before they name the model.
        return self.outcome != "running" and (self.outcome != "succeeded" or bool(self.fine_tuned_model))

    def __str__(self) -> str:
        model = f", {self.fine_tuned_model}" if self.fine_tuned_model else ""
        error = f" ({self.error})" if self.error else ""
        return f"job {shown(self.job_id) or '(not created yet)'}: {self.status}{model}{error}"


def read_job(folder: StrPath) -> Job:
    """The job of `folder` as last seen. Raises InputError if none was launched there."""
    job = _read(Path(folder) / JOB)
    if job is None or not job.job_id:
        raise InputError(f"no job was launched in {folder}; launch one there first")
    return job


def write_job(job: Job, file: Path | None = None) -> Job:
    """Replace the job's job.json, or write it to another file; returns the job. Raises JournalError."""
    content = {name: value for name, value in asdict(job).items() if name != "folder"}
    try:
        write_json_atomically(file or job.folder / JOB, content)
    except FileWriteError as error:
        # The job may exist at its server already, and only this message has its id then.
        raise JournalError(f"{error}; not recorded: {job}") from None
    return job


def known_job(
    export: Export, model: str, base_url: str | None, settings: Mapping[str, int | None] | None = None
) -> Job | None:
    """The job begun for these very files, this base, this server (empty: the offline player; None: any) and
    these `settings` (one that is None: any), unless it failed or was cancelled; it is the folder's job then.

    Raises InputError if the folder has another job that may still run.
    """

    def fits(job: Job) -> bool:
        return (
            job.outcome not in ("failed", "cancelled")
            and (job.digests, job.model) == (export.digests, model)
            and base_url in (None, job.base_url)
            and _agrees(job, settings or {})
        )

    job = _read(export.folder / JOB)
    if job and fits(job):
        return job
    if job and (job.job_id or job.training_file):
        if job.job_id and not job.ended:
            raise InputError(
                f"job {job.job_id} of {export.folder} may still be running on other examples or another "
                "server, or with other settings; wait for it or cancel it first, or move its job.json away"
            )
        write_job(job, export.folder / EARLIER / f"{_file_name(job.job_id or job.training_file)}.json")
    for file in sorted((export.folder / EARLIER).glob("*.json")):
        earlier = _read(file)
        if earlier and fits(earlier):
            return write_job(earlier)
    return None


def _agrees(job: Job, settings: Mapping[str, int | None]) -> bool:
    return job.settings is None or all(
        value is None or job.settings.get(name) == value for name, value in settings.items()
    )


def _file_name(job_id: str) -> str:
    """A file's name made of the server's id, which is hostile text itself."""
    return hashlib.sha256(job_id.encode(errors="backslashreplace")).hexdigest()[:16]


def _read(file: Path) -> Job | None:
    """The job in `file`, which is of the folder above EARLIER or of its own."""
    folder = file.parent.parent if file.parent.name == EARLIER else file.parent
    try:
        content = parse_json(file.read_text(encoding="utf-8"))
        # Earlier versions wrote the address with its credentials.
        return Job(folder=folder, **content | {"base_url": address_of(content["base_url"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{file} is damaged; move it away and launch again") from None
