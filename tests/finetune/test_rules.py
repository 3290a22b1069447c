"""The rules of curation, without a gateway: what each of them leaves, and its count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import InputError
from babyai_kit.finetune.curation import apply_rules, episode_rules
from babyai_kit.finetune.episode_sources import SourceEpisode, journal_steps
from babyai_kit.finetune.examples import make_examples
from babyai_kit.finetune.plan_settings import PlaySettings, with_settings
from tests.support.journals import Reply, expert, idle, play
from tests.support.project import CONFIG

VARIANTS = load_config(CONFIG, Settings()).variants
BASELINE = VARIANTS["baseline"]
DETOUR = ["turn left", "turn right", "turn left", "turn right"]


def clumsy(env: Any, mission: str) -> Iterator[str]:
    """Succeeds, but looks around first."""
    yield from DETOUR
    yield from expert(env, mission)


def source(policy: Any, *, complete: bool = True, digest: str = BASELINE.digest, **key: Any) -> SourceEpisode:
    episode = play(policy, **key)
    assert episode.record
    row = replace(episode.record, variant_digest=digest)
    return SourceEpisode(row, journal_steps(row, episode.steps), complete=complete, orphans=0)


BEST, WORSE = source(expert, seed=3), source(clumsy, seed=3, repeat=1)
OTHER_SEED, OTHER_TASK = source(clumsy, seed=5), source(expert, task="pickup", seed=3)
FAILED, INCOMPLETE = source(idle, seed=4), source(expert, seed=6, complete=False)
OLD_PROMPT = source(expert, seed=7, digest="old")
EPISODES = [OLD_PROMPT, FAILED, INCOMPLETE, WORSE, OTHER_SEED, OTHER_TASK, BEST]


@pytest.mark.parametrize(
    ("options", "expected", "last_stages"),
    [
        ({}, [BEST, WORSE, OTHER_SEED, OTHER_TASK], [6, 5, 5, 4]),
        ({"min_return": 0.999}, [], [6, 5, 0, 0]),
        ({"shortest_only": True}, [BEST, OTHER_SEED, OTHER_TASK], [5, 5, 4, 3]),
        ({"max_per_task": 1}, [BEST, OTHER_TASK], [5, 5, 4, 2]),
        ({"shortest_only": True, "max_per_task": 2}, [BEST, OTHER_SEED, OTHER_TASK], [5, 4, 3, 3]),
    ],
)
def test_every_rule_leaves_what_it_says_and_counts_it(options: dict, expected: list, last_stages: list[int]):
    options = {"min_return": 0.0, "max_per_task": None, "shortest_only": False} | options
    episodes, stages = apply_rules(EPISODES, episode_rules(BASELINE, **options))
    assert episodes == sorted(expected, key=lambda e: e.row.key)
    assert (stages[0].stage, stages[0].episodes) == ("finished", len(EPISODES))
    assert [s.episodes for s in stages][-4:] == last_stages
    assert stages[-1].steps == sum(len(e.steps) for e in expected)


def test_detours_invalid_answers_and_duplicates_are_left_out():
    def policy(env: Any, mission: str) -> Iterator[str | Reply]:
        yield from DETOUR[:2]
        yield Reply(raw="not JSON")
        yield from expert(env, mission)

    episode = source(policy, seed=3)
    again = replace(episode, row=replace(episode.row, repeat=1, episode_id="again"), orphans=2)
    examples, stages = make_examples([episode, again], BASELINE, drop_detours=True)
    # Steps 0 and 1 lead back to the start; step 2, the invalid answer, went forward.
    assert [(e.episode_id, e.step) for e in examples] == [(episode.row.episode_id, i) for i in range(3, 7)]
    assert stages == [
        ("orphans left out (2)", 2, 14),
        ("without detours", 2, 10),
        ("valid answers", 2, 8),
        ("duplicates removed", 1, 4),
    ]
    _, stages = make_examples([episode], BASELINE, drop_detours=False)
    assert [s.steps for s in stages] == [7, 6, 6]


def under(num_dists: int, history_length: int) -> SourceEpisode:
    return replace(BEST, row=replace(BEST.row, num_dists=num_dists, history_length=history_length))


def test_episodes_of_other_settings_are_left_out_and_told():
    short, long, crowded = under(0, 4), under(0, 8), under(1, 4)
    episodes = [short, long, short, crowded, long]
    kept, left_out = with_settings(episodes, PlaySettings(0, 4), VARIANTS["history"])
    assert kept == [short, short]
    assert left_out == (
        "1 with 1 distracting object (--num-dists 1); 2 with history length 8 (--history-length 8)"
    )
    assert with_settings(episodes, PlaySettings(), VARIANTS["history"]) == (episodes, "")
    # The length of a history that is not shown says nothing.
    kept, left_out = with_settings(episodes, PlaySettings(0, 4), BASELINE)
    assert kept == [short, long, short, long]
    assert left_out == "1 with 1 distracting object (--num-dists 1)"


def test_settings_that_no_episode_has_are_refused_with_those_that_there_are():
    told = r"no finished episode of history has history length 2, no .*; there are 1 with history length 8 "
    with pytest.raises(InputError, match=told + r"\(--history-length 8\)"):
        with_settings([under(0, 8)], PlaySettings(0, 2), VARIANTS["history"])
    assert with_settings([], PlaySettings(0, 2), VARIANTS["history"]) == ([], "")
