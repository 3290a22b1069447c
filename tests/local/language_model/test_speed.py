"""What is fastest here is measured, and leaves PyTorch as it was."""

from __future__ import annotations

import pytest

from tests.local.language_model import NO_LLM

torch = pytest.importorskip("torch", reason=NO_LLM)

from babyai_kit.local.language_model import speed


@pytest.mark.parametrize(
    ("seconds", "fastest"),
    [
        ({1: 1.0, 2: 4.0, 4: 0.1}, 1),
        ({1: 1.0, 2: 0.95}, 1),
        ({1: 1.0, 2: 0.6, 4: 0.4, 6: 0.5}, 4),
        ({1: 9.0, 2: 5.0, 4: 3.0, 6: 2.0}, 6),
    ],
)
def test_threads_are_doubled_while_that_is_faster(seconds, fastest, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(speed.os, "sched_getaffinity", lambda _: range(max(seconds)), raising=False)
    monkeypatch.setattr(speed, "_seconds", lambda *_: seconds[torch.get_num_threads()])
    assert speed.fastest_threads() == fastest
    assert torch.get_num_threads() == before


def test_a_number_of_threads_is_found_here():
    assert speed.fastest_threads() >= 1
