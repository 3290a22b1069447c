"""Names that follow from one are valid, and never shared by two."""

from __future__ import annotations

import pytest

from babyai_kit.errors import InputError
from babyai_kit.finetune import job_suffix, part_name, tuned_name
from babyai_kit.finetune.registration import VARIANT_NAME
from babyai_kit.runs.journal import RUN_NAME

NAMES = ["first", "a-b", "a_b", "a.b", "2", "x" * 50, "x" * 63 + "y", "x" * 63 + "z", "x" * 62 + ".y"]


def test_plain_names_are_kept():
    assert part_name("first", "learn-train") == "first-learn-train"
    assert tuned_name("baseline", "first") == "baseline_first_sft"
    assert tuned_name("history", "up", "1") == "history_up_1"
    assert job_suffix("up", "1") == "up-1"


@pytest.mark.parametrize("variant", ["baseline", "history_and_reasoning", "v" * 64])
def test_every_name_gives_valid_ones_of_its_own(variant: str):
    assert all(RUN_NAME.fullmatch(name) for name in NAMES)
    runs = [part_name(name, part) for name in NAMES for part in ("learn-train", "learn-test")]
    assert len(set(runs)) == 2 * len(NAMES)
    assert all(RUN_NAME.fullmatch(run) for run in runs)
    variants = [tuned_name(variant, name, mark) for name in NAMES for mark in ("sft", "1", "11")]
    # A variant that leaves no room for the name is told apart by the digest.
    assert len(set(variants)) == 3 * len(NAMES)
    assert all(VARIANT_NAME.fullmatch(name) for name in variants)
    assert all(len(job_suffix(name, "11")) <= 40 and job_suffix(name, "11").endswith("-11") for name in NAMES)


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 65])
def test_what_is_no_name_of_a_run_gives_none(name: str):
    with pytest.raises(InputError, match="run name"):
        part_name(name, "train")
