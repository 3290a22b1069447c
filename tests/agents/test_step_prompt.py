"""What a step's prompt is made of: the window of a dialogue, and its messages."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyai_kit.agents.rendering import Messages, Renderer
from babyai_kit.agents.step_prompt import first_shown, mean_shown, step_prompt
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment import ACTIONS
from babyai_kit.runs.records import StepRecord
from tests.runs.test_records import step
from tests.support.project import CONFIG

VARIANTS = load_config(CONFIG, Settings(model="m")).variants
RENDERERS = {name: Renderer(variant) for name, variant in VARIANTS.items()}

lengths = st.integers(0, 40)
episodes = st.lists(st.tuples(st.sampled_from(ACTIONS), st.booleans()), max_size=60).map(
    lambda moves: [
        step(i, observation=f"a wall {i + 1} steps forward", action=action, valid=valid)
        for i, (action, valid) in enumerate(moves)
    ]
)


def rendered(variant: str, steps: list[StepRecord], length: int, seen: str = "a key") -> Messages:
    """The messages of the step after `steps`, in which `seen` is in view."""
    dialogue = VARIANTS[variant].dialogue
    prompt = step_prompt("go to the red ball", seen, steps, length=length, dialogue=dialogue)
    return RENDERERS[variant].messages(prompt.arguments, prompt.earlier)


@given(lengths)
def test_a_window_never_exceeds_its_length_and_jumps_seldom(length: int) -> None:
    firsts = [first_shown(number, length) for number in range(4 * length + 10)]
    assert firsts[0] == 0
    shown = [number - first for number, first in enumerate(firsts)]
    assert all(0 <= past <= length for past in shown)
    assert all(length - length // 2 <= past for past in shown[length:]), "a jump leaves half of it"
    assert all(before <= after for before, after in pairwise(firsts))
    jumps = [number for number, (before, after) in enumerate(pairwise(firsts)) if after > before]
    assert all(later - jump > length // 2 for jump, later in pairwise(jumps))
    cycle = shown[length : length + length // 2 + 1]
    assert sum(cycle) / len(cycle) == mean_shown(length)


@given(episodes, lengths)
def test_a_dialogue_continues_that_of_the_step_before(steps: list[StepRecord], length: int) -> None:
    """To the letter: a cache of prompts finds all of it again but for the window's jumps."""
    for number, last in enumerate(steps):
        before = rendered("dialogue", steps[:number], length, last.observation)
        after = rendered("dialogue", steps[: number + 1], length)
        if first_shown(number, length) == first_shown(number + 1, length):
            assert after[: len(before)] == before
            assert after[len(before) :][0] == ("assistant", f'{{"action": "{last.action}"}}')
            assert len(after) == len(before) + 2


@given(episodes, lengths)
def test_a_dialogue_tells_the_mission_once_and_each_invalid_answer(
    steps: list[StepRecord], length: int
) -> None:
    messages = rendered("dialogue", steps, length)
    first = first_shown(len(steps), length)
    assert [role for role, _ in messages] == ["system", *["user", "assistant"] * (len(steps) - first), "user"]
    assert ["Mission: go to the red ball\n" in text for _, text in messages[1::2]] == [True] + [False] * (
        len(steps) - first
    )
    notes = ["was not a valid action" in text for _, text in messages[3::2]]
    assert notes == [not past.valid for past in steps[first:]]


@given(episodes)
def test_without_past_steps_a_dialogue_is_the_baseline(steps: list[StepRecord]) -> None:
    assert rendered("dialogue", steps, 0) == rendered("baseline", steps, 0)


@pytest.mark.parametrize("past", [0, 1, 2])
def test_steps_of_another_variant_can_be_tried(past: int) -> None:
    """As TensorZero's UI does it: its arguments, rendered from this variant's template."""
    steps = [step(number) for number in range(past)]
    arguments = step_prompt("go", "a key", steps, length=8, dialogue=False).arguments
    assert RENDERERS["dialogue"].messages(arguments) == RENDERERS["baseline"].messages(arguments)
