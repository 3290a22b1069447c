"""The prompts of an episode, as the server answers them."""

from __future__ import annotations

from tests.viewer.answers import data
from tests.viewer.test_run_table import rows


def test_prompts_are_those_of_the_recorded_steps(viewer: str) -> None:
    episodes = [row for row in rows(data(viewer, "runs", "second")) if row["seed"] == 1]
    place = ("runs", "second", "episodes", episodes[0]["id"])
    view, prompts = data(viewer, *place), data(viewer, *place, "prompts")
    assert prompts["note"] == ""
    for messages, step in zip(prompts["steps"], view["steps"], strict=True):
        assert messages[0]["role"] == "system"
        assert step["observation"] in messages[-1]["content"]
    assert view["mission"] in prompts["steps"][0][-1]["content"]
