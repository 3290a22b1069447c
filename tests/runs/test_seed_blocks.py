from __future__ import annotations

import pytest

from babyai_kit import finetune, make_env
from babyai_kit.errors import InputError
from babyai_kit.runs.seed_blocks import block_of, check_disjoint


def test_the_blocks_are_disjoint():
    check_disjoint(**{name: block[:20_000] for name, block in finetune.BLOCKS.items()})
    assert [block_of(s) for s in (0, 199, 200, 219, 220, 1000, 1099, 1100, 10_000)] == [
        *("train", "train", "validation", "validation", None, "test", "test", None, "base")
    ]


@pytest.mark.parametrize(
    ("seeds", "block", "message"),
    [
        ([3, 200], "train", "seeds 200 are in the validation block"),
        ([1000, 1001], "train", "seeds 1000, 1001 are in the test block"),
        ([220], "train", "seeds 220 are in no block"),
        ([5], "test", "seeds 5 are in the train block"),
        (range(195, 210), "train", r"200, 201, 202, 203, 204, \.\.\."),
        ([9_999], "base", "9999"),
    ],
)
def test_a_seed_of_another_block_is_refused_by_name(seeds, block: str, message: str):
    with pytest.raises(InputError, match=message):
        finetune.check_block(seeds, block, "this")


def test_shared_seeds_are_named():
    with pytest.raises(InputError, match="train and test share seeds 3"):
        check_disjoint(train=[1, 2, 3], test=range(3, 5))


def test_the_overlap_of_starts_is_what_the_agent_sees_first():
    def start(seed: int) -> tuple[str, str]:
        observation, _ = make_env("goto").reset(seed=seed)
        return observation["mission"], observation["text"]

    overlap = finetune.start_overlap(["goto"], train=range(40), test=range(1000, 1040))
    alike = {seed: [t for t in range(40) if start(t) == start(seed)] for seed in range(1000, 1040)}
    expected = [("goto", seed, train[0]) for seed, train in alike.items() if train]
    assert expected
    assert list(overlap.itertuples(index=False, name=None)) == expected


def test_train_and_test_seeds_that_meet_are_refused():
    with pytest.raises(InputError, match="share seeds"):
        finetune.start_overlap(["goto"], train=range(10), test=range(9, 12))
