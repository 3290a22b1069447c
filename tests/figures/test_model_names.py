"""Models' names are short in figures, and never two alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.figures.model_names import short_names


@pytest.mark.parametrize(
    ("model", "short"),
    [
        ("gpt-6-luna", "gpt-6-luna"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("anthropic::claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("fireworks::accounts/fireworks/models/llama-v3p1-8b-instruct", "llama-v3p1-8b-instruct"),
        ("aws_bedrock::anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-v1:0"),
        ("gcp_vertex_anthropic::claude-3-5-sonnet@20240620", "claude-3-5-sonnet"),
        ("ft:gpt-4o-mini-2024-07-18:org::abc123", "ft:gpt-4o-mini:abc123"),
        ("openai::ft:gpt-4o-mini-2024-07-18:org:mine:abc123", "ft:gpt-4o-mini:mine"),
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B-Instruct"),
        ("llama3.1:8b", "llama3.1:8b"),
        ("offline-player", "offline-player"),
    ],
)
def test_provider_path_and_date_are_left_out(model: str, short: str) -> None:
    assert short_names([model]) == {model: short}


def test_what_tells_two_models_apart_stays() -> None:
    expected = {
        "openai::gpt-5": "openai::gpt-5",
        "openrouter::openai/gpt-5": "openrouter::openai/gpt-5",
        "m-20250101": "m-20250101",
        "m-20260101": "m-20260101",
        "ft:b:o:s:1": "ft:b:s:1",
        "ft:b:o:s:2": "ft:b:s:2",
    }
    assert short_names(expected) == expected


piece = st.sampled_from(["a", "b", "ft:", ":", "::", "/", "-20250101", "-2025-01-01", "@20250101", ""])


@given(st.lists(st.lists(piece, min_size=1, max_size=5).map("".join), max_size=6))
def test_no_two_models_have_one_name(names: list[str]) -> None:
    short = short_names(names)
    assert set(short) == set(names)
    assert len(set(short.values())) == len(short)
