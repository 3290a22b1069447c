"""Addresses of pages in TensorZero's UI. The kit shows them and never requests them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlsplit

MAX_COMPARED = 5
"""Workflow evaluation runs that the UI compares at once."""


def comparison_page(ui_url: str, project: str, run_ids: Sequence[str]) -> str:
    """The page that compares the first MAX_COMPARED of the workflow evaluation runs `run_ids`."""
    chosen = ",".join(quote(run_id, safe="") for run_id in run_ids[:MAX_COMPARED])
    page = f"workflow-evaluations/projects/{quote(project, safe='')}"
    return f"{_without_credentials(ui_url)}/{page}?run_ids={chosen}"


def fine_tuning_form(ui_url: str) -> str:
    """The form that launches a fine-tuning job."""
    return f"{_without_credentials(ui_url)}/optimization/supervised-fine-tuning"


def _without_credentials(url: str) -> str:
    """A browser asks for them itself."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
