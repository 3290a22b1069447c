"""Expert and random actions as rows beside a run's."""

from __future__ import annotations

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
