"""Shared by the tests of replays, failures and reports."""

from __future__ import annotations

import pytest

from babyai_kit.figures import FIGURES


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the figures only, where a test is about words: drawing all takes most of a report's time."""
    few = {name: FIGURES[name] for name in ("success_rate", "success_against_steps", "paired_differences")}
    monkeypatch.setattr("babyai_kit.report.writer.FIGURES", few)
