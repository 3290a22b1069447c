"""Examples under another prompt than their episodes were played with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from babyai_kit import finetune, run_experiment
from babyai_kit.errors import InputError
from babyai_kit.finetune.optimization_workflow import launch_workflow
from babyai_kit.gateway.session import Session
from babyai_kit.local.player import FaultPlan, OfflinePlayer
from babyai_kit.runs.run import Run
from tests.experiment.test_run import open_session  # noqa: F401
from tests.finetune.conftest import Open

pytestmark = pytest.mark.e2e

VARIANTS = ["baseline", "history", "dialogue", "reasoning"]


def said(examples: tuple[finetune.Example, ...]) -> list[tuple]:
    """Examples without the ids of inferences, with answers as JSON."""
    return [(e.prompt, json.loads(e.answer), e.episode_id, e.task, e.seed, e.step) for e in examples]


async def test_a_variants_own_episodes_under_its_own_prompt_are_its_own_examples(
    open_session,  # noqa: F811
    tmp_path: Path,
) -> None:
    plan = {"tasks": ["goto", "open"], "seeds": range(2), "history_length": 5}
    async with (
        OfflinePlayer(faults=FaultPlan({"invalid_action": 0.15})) as player,
        open_session(player) as session,
    ):
        await run_experiment(session, "r", VARIANTS, **plan, results=tmp_path, progress=False)
        for variant in VARIANTS:
            own = await finetune.curate(session, "r", variant, source="journal", results=tmp_path)
            told = await finetune.curate(session, "r", variant, prompt=variant, results=tmp_path)
            assert said(told.examples) == said(own.examples)
            assert (told.variant, told.model, told.player) == (variant, own.model, variant)
        # Whoever played, the prompts are those that the learner would have been asked with.
        own = await finetune.curate(session, "r", "dialogue", source="journal", results=tmp_path)
        of_baseline = await finetune.curate(session, "r", "baseline", prompt="dialogue", results=tmp_path)
        assert of_baseline.examples[0].prompt[0] == own.examples[0].prompt[0]
        assert max(len(e.prompt) for e in of_baseline.examples) == 2 + 2 * plan["history_length"]
        thoughtful = await finetune.curate(session, "r", "reasoning", prompt="baseline", results=tmp_path)
        assert all(set(json.loads(e.answer)) == {"action"} for e in thoughtful.examples)
        with pytest.raises(
            InputError, match="the prompt reasoning asks for reasoning, and these steps have n"
        ):
            await finetune.curate(session, "r", "baseline", prompt="reasoning", results=tmp_path)
        with pytest.raises(InputError, match=r"unknown prompt 'nope'.*baseline"):
            await finetune.curate(session, "r", "baseline", prompt="nope", results=tmp_path)
        with pytest.raises(InputError, match=r"unknown variant 'nobody'.*baseline, history"):
            await finetune.curate(session, "r", "nobody", prompt="baseline", results=tmp_path)


async def curated(session: Session) -> int:
    query = "SELECT count() FROM BooleanMetricFeedback WHERE metric_name = 'curated'"
    return int(session.clickhouse().query(query).result_rows[0][0])


async def test_an_explorers_episodes_are_learned_from_by_others_alone(
    open_offline: Open, tmp_path: Path
) -> None:
    explorer = "explore:share=1"
    plan = {"tasks": ["goto"], "seeds": range(20), "repeats": 3, "history_length": 4, "results": tmp_path}
    async with open_offline() as session:
        rows = await run_experiment(session, "x", agents=[explorer], progress=False, **plan)
        before = await curated(session)
        curations = {
            prompt: await finetune.curate(
                session, "x", explorer, prompt=prompt, shortest_only=True, drop_detours=True, results=tmp_path
            )
            for prompt in ("baseline", "history", "dialogue")
        }
        assert await curated(session) == before
        with pytest.raises(InputError, match=r"has no prompt of its own; .* --prompt baseline"):
            await finetune.curate(session, "x", explorer, results=tmp_path)
        with pytest.raises(InputError, match="the prompt reasoning asks for reasoning"):
            await finetune.curate(session, "x", explorer, prompt="reasoning", results=tmp_path)
        await run_experiment(session, "t", agents=[explorer], **{**plan, "seeds": [200]}, progress=False)
        with pytest.raises(InputError, match="in the validation block"):
            await finetune.curate(session, "t", explorer, prompt="baseline", results=tmp_path)
    wins = rows[rows["success"]].sort_values(["seed", "episode_length", "repeat"]).groupby("seed").head(1)
    for prompt, curation in curations.items():
        assert {e.episode_id for e in curation.examples} == set(wins["episode_id"])
        assert (curation.variant, curation.player) == (prompt, "explore:share=1.0")
        assert curation.model == "offline-player"
        assert f"of explore:share=1.0, as {prompt} is asked" in str(curation)
    steps = {
        (s.episode_id, s.step): s.action
        for of_one in Run.open("x", results=tmp_path).step_records().values()
        for s in of_one
    }
    history, dialogue = curations["history"], curations["dialogue"]
    assert history.counts.set_index("stage")["steps"]["without detours"] == len(dialogue.examples)
    assert len(history.examples) < wins["episode_length"].sum()
    for example in history.examples:
        assert json.loads(example.answer) == {"action": steps[example.episode_id, example.step]}
        # The history is that of the episode without its detours.
        kept = [e.step for e in dialogue.examples if e.episode_id == example.episode_id]
        past = [steps[example.episode_id, i] for i in kept[: kept.index(example.step)]][-4:]
        assert re.findall("(?m)^Action: (.*)$", example.prompt[-1][1]) == past
    files = finetune.export(history, tmp_path / "files")
    assert (files.variant, files.model) == ("history", "offline-player")


async def test_the_gateways_workflow_cannot_tell_steps_anew(open_offline: Open, tmp_path: Path) -> None:
    async with open_offline() as session:
        await run_experiment(session, "w", ["baseline"], ["goto"], range(4), results=tmp_path, progress=False)
        curation = await finetune.curate(session, "w", "baseline", prompt="history", results=tmp_path)
        with pytest.raises(InputError, match="learns from prompts as they were asked; use launch"):
            await launch_workflow(session, curation, tmp_path / "files")


@pytest.mark.long
async def test_improve_begins_with_what_an_explorer_found(open_offline: Open, tmp_path: Path) -> None:
    blocks = {"train": range(12), "validation": range(200, 202), "test": range(1020, 1022)}
    improvement = await finetune.improve(
        "found",
        "baseline",
        rounds=2,
        explorer="explore:share=1",
        train_repeats=4,
        tasks=["goto"],
        **blocks,
        min_return=0.0,
        open_session=open_offline,
        results=tmp_path,
        say=lambda line: None,
        progress=False,
    )
    first, second = improvement.rounds
    assert [(r.variant, r.tuned) for r in improvement.rounds] == [
        ("explore:share=1.0", "baseline_found_1"),
        ("baseline_found_1", "baseline_found_2"),
    ]
    assert 0 < first.train_success < second.train_success
    assert second.job.model == first.job.fine_tuned_model
    collected = Run.open("found-1-train", results=tmp_path).episodes()
    assert len(collected) == 4 * len(blocks["train"])
    assert set(improvement.validation["variant"]) == {"baseline", "baseline_found_1", "baseline_found_2"}
