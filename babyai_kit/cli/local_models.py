"""The models of this machine, as the installation and the files of their server tell; it need not run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from babyai_kit.configuration.models import CHECKPOINT, is_local_language_model
from babyai_kit.configuration.project import PROJECT_DATA
from babyai_kit.errors import unknown
from babyai_kit.local.language_model.base_file import INSTALL, missing

if TYPE_CHECKING:
    from babyai_kit.local.player.job_store import JobStore


def server_folder() -> Path:
    """Where the project's own server keeps files, jobs and models."""
    return Path(PROJECT_DATA) / "player"


def jobs_in(folder: Path) -> JobStore | None:
    """The jobs of the server of `folder`; None if there never was one."""
    from babyai_kit.local.player.job_store import JobStore

    return JobStore(folder / "jobs") if (folder / "jobs").is_dir() else None


def why_it_cannot_play(model: str, folder: Path) -> str:
    """Why the server of `folder` cannot serve this `model` of its own, and the remedy; empty if it can."""
    if is_local_language_model(model) and (names := missing()):
        return f"{model} needs {', '.join(names)}; run: {INSTALL}"
    if not model.startswith("ft:"):
        return ""
    jobs = jobs_in(folder)
    made = [job for job in jobs.all() if job["fine_tuned_model"]] if jobs else []
    # The job of a model that was deleted stays.
    tuned = [job["fine_tuned_model"] for job in made if jobs and jobs.work_folder(job["id"]).is_dir()]
    if model.partition(CHECKPOINT)[0] in tuned:
        return ""
    if not tuned:
        return f"{model} is not here: no model was fine-tuned on this machine (in {folder})"
    return unknown(f"model (in {folder})", model, tuned)
