"""The picture of the game."""

from __future__ import annotations

from itertools import combinations

import gymnasium
import pytest

from babyai_kit import figures, make_env
from babyai_kit.errors import InputError, StepOrderError


@pytest.mark.parametrize("level", ["goto", "open", "BabyAI-BossLevel-v0"])
def test_a_level_and_the_view_stand_side_by_side_in_one_scale_of_height(level: str):
    env = make_env(level)
    env.reset(seed=3)
    figure = figures.game(env)
    figure.draw_without_rendering()
    whole, view = (axes.get_window_extent() for axes in figure.axes)
    assert whole.x1 < view.x0
    assert whole.height == pytest.approx(view.height, rel=0.02)
    texts = [figure._suptitle, *(axes.title for axes in figure.axes), *(a._left_title for a in figure.axes)]
    for text in texts:
        assert text.get_window_extent().x1 <= figure.bbox.x1, text
    legible = 72 / 400 * figure.get_size_inches()[0]  # a pixel, in points, where the picture is 400 wide
    assert all(text.get_fontsize() >= 9.5 * legible for text in texts)
    shown = [text.get_window_extent() for text in texts if text.get_text()]
    assert not any(one.overlaps(other) for one, other in combinations(shown, 2))
    assert figure._suptitle.get_text().replace("\n", " ") == f"Mission: {env.unwrapped.mission}"


def test_only_a_level_that_has_begun_can_be_drawn():
    with pytest.raises(StepOrderError, match="call reset"):
        figures.game(make_env("goto"))
    with pytest.raises(InputError, match="that make_env made"):
        figures.game(gymnasium.make("CartPole-v1"))
