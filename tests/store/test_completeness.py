"""Which episodes ClickHouse holds whole: a journal's steps against stored inferences."""

from __future__ import annotations

from babyai_kit.store.completeness import compare_steps
from babyai_kit.store.queries import StoredStep
from tests.support.journals import expert, idle, play


def stored(
    inference_id: str, episode_id: str, step: int, *, calls: int = 1, indexed: bool = True
) -> StoredStep:
    return StoredStep(inference_id, episode_id, step, calls, 100, 10, indexed)


def test_each_step_is_found_missing_or_orphaned():
    whole, torn, lost = (play(policy, seed=1).steps for policy in (expert, idle, idle))
    rows = {s.inference_id: stored(s.inference_id, s.episode_id, s.step) for s in (*whole, *torn)}
    half, unindexed = torn[0], torn[1]
    rows[half.inference_id] = stored(half.inference_id, half.episode_id, 0, calls=0)
    rows[unindexed.inference_id] = stored(unindexed.inference_id, unindexed.episode_id, 1, indexed=False)
    rows["twice"] = stored("twice", whole[0].episode_id, 0)
    completeness = compare_steps([*whole, *torn, *lost], rows)
    assert completeness.complete == {whole[0].episode_id}
    assert completeness.missing == {lost[0].episode_id: [step.step for step in lost]}
    assert completeness.partial == {torn[0].episode_id: [0, 1]}
    assert completeness.orphans == {whole[0].episode_id: ["twice"]}
