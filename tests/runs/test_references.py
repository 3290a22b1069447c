"""Expert and random actions as rows beside a run's."""

from __future__ import annotations

import pytest

from babyai_kit import TASKS
from babyai_kit.runs.references import reference_episodes
from babyai_kit.stats import summarize


def test_the_expert_succeeds_everywhere_and_chance_on_little():
    episodes = reference_episodes(range(1000, 1010))
    assert len(episodes) == 2 * 10 * len(TASKS)
    rates = summarize(episodes).set_index("variant")
    assert rates.loc["expert", "success"] == 1
    assert rates.loc["random", "success"] < 0.3  # 9.5% on 200 seeds
    expert = episodes[episodes["variant"] == "expert"]
    assert (expert["episode_length"] >= expert["shortest_length"]).all()
    assert episodes.equals(reference_episodes(range(1000, 1010)))


def test_a_level_of_several_rooms_has_no_shortest_length():
    episodes = reference_episodes([1000], ["BabyAI-GoToObjMazeS4-v0"])
    assert episodes["shortest_length"].isna().all()
    assert episodes["error"].isna().all()
    assert dict(zip(episodes["variant"], episodes["success"], strict=True)) == {
        "expert": True,
        "random": False,
    }


@pytest.mark.parametrize(("level", "seed"), [("BabyAI-KeyInBox-v0", 1000), ("BabyAI-GoToImpUnlock-v0", 1035)])
def test_an_expert_that_gives_up_has_failed_and_says_why(level: str, seed: int):
    expert = reference_episodes([seed], [level]).query("variant == 'expert'").iloc[0]
    assert (expert["status"], bool(expert["success"])) == ("ok", False)
    assert expert["episode_return"] == 0
    assert expert["episode_length"] < expert["max_steps"]
    assert f"expert gave up on {level}" in expert["error"]
