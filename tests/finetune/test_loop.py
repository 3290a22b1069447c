"""The loop end to end through the real gateway and engine, and the control that must not gain."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from pathlib import Path

import pytest

from babyai_kit import TASKS, finetune, run_experiment
from babyai_kit.configuration.settings import load_settings
from babyai_kit.errors import InputError
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.run import Run
from babyai_kit.stats.tables import ALL_TASKS
from tests.finetune.conftest import TRAIN_SEEDS, Open

pytestmark = pytest.mark.e2e

TEST_SEEDS = range(1000, 1012)
CONTROL_SEEDS = range(1000, 1004)


def quiet(line: str) -> None:
    pass


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def shuffled(curation: finetune.Curation) -> finetune.Curation:
    """The same prompts, each with the answer of another."""
    answers = [e.answer for e in curation.examples]
    random.Random(0).shuffle(answers)
    examples = [dataclasses.replace(e, answer=a) for e, a in zip(curation.examples, answers, strict=True)]
    return dataclasses.replace(curation, examples=tuple(examples))


@pytest.mark.long
async def test_true_examples_help_on_unseen_seeds_and_shuffled_ones_do_not(
    open_offline: Open, collected: Path, config: Path, tmp_path: Path
):
    lines: list[str] = []
    async with open_offline() as session:
        curation = await finetune.curate(
            session, "collect", "baseline", min_return=0.3, max_per_task=None, results=collected
        )
        models = {}
        for name, examples in (("baseline_sft", curation), ("baseline_shuffled", shuffled(curation))):
            export = finetune.export(examples, tmp_path / name)
            await finetune.launch(session, export, seed=1, say=lines.append)
            job = await finetune.wait(session, export.folder, say=lines.append)
            assert job.outcome == "succeeded", job
            models[name] = job.fine_tuned_model
            # Another launch of the same is the same job.
            assert await finetune.launch(session, export, seed=1, say=quiet) == job
    assert any(line.startswith("Fine-tuning offline-player: ") for line in lines)
    assert any("The job has successfully completed" in line for line in lines)

    for name, model in models.items():
        finetune.register_variant(name, model=model, like="baseline", config=config)
    plan = {"tasks": TASKS, "train": TRAIN_SEEDS, "results": tmp_path, "progress": False}
    async with open_offline() as session:
        variants = session.config.variants
        assert {variants[name].digest for name in models} == {variants["baseline"].digest}
        true = await finetune.evaluate(
            session, "gain", base="baseline", tuned="baseline_sft", seeds=TEST_SEEDS, **plan
        )
        control = await finetune.evaluate(
            session, "gain", base="baseline", tuned="baseline_shuffled", seeds=CONTROL_SEEDS, **plan
        )
    assert set(true.episodes["status"]) == {"ok"}
    assert set(true.episodes["model"]) == {"offline-player", models["baseline_sft"]}
    assert true.gain["low"] > 0
    assert control.gain["low"] <= 0
    assert len(true.overlap)
    apart = true.comparison_apart.set_index(["measure", "task"]).loc[("success", ALL_TASKS)]
    assert apart["n_seeds"] == len(TEST_SEEDS) - true.overlap["seed"].nunique()
    text = str(true)
    assert re.search(r"(?m)^  success rate \(%\) +\d+\.\d +\d+\.\d +\+\d+\.\d +\+\d+\.\d to \+\d+\.\d$", text)
    assert re.search(r"(?m)^baseline_sft is better than baseline by \d+\.\d points", text)
    assert "input tokens" in text
    assert "without these seeds:" in text


@pytest.mark.long
async def test_rounds_choose_on_validation_and_report_on_test(open_offline: Open, tmp_path: Path):
    blocks = {"train": range(20, 26), "validation": range(200, 202), "test": range(1020, 1023)}
    options = {"rounds": 2, "tasks": ["goto"], "min_return": 0.2, "results": tmp_path}
    options |= {"open_session": open_offline, "say": quiet, "progress": False}
    options |= {"temperature": 0.5, "max_tokens": 300, "call_seeds": False, "history_length": 4}
    improvement = await finetune.improve("up", "history", **blocks, **options)
    assert [(r.variant, r.tuned) for r in improvement.rounds] == [
        ("history", "history_up_1"),
        ("history_up_1", "history_up_2"),
    ]
    first, second = (r.job for r in improvement.rounds)
    assert (first.model, second.model) == ("offline-player", first.fine_tuned_model)
    assert set(improvement.validation["variant"]) == {"history", "history_up_1", "history_up_2"}
    rates = improvement.validation.groupby("variant")["success"].mean()
    assert rates[improvement.chosen] == rates[["history_up_1", "history_up_2"]].max()
    assert set(improvement.evaluation.episodes["variant"]) == {"history", improvement.chosen}
    assert set(improvement.evaluation.episodes["seed"]) == set(blocks["test"])
    curated = json.loads((tmp_path / "up-2-train/finetune/export.json").read_text())
    assert set(curated["seeds"]) <= set(blocks["train"])

    for run in ("up-1-train", "up-2-train", "up-validation", "up-test"):
        manifest = Run.open(run, results=tmp_path).manifest
        assert manifest.sampling == Sampling(temperature=0.5, max_tokens=300, call_seeds=False)
        assert manifest.plan.history_length == 4

    again = await finetune.improve("up", "history", **blocks, **options)
    assert [r.job for r in again.rounds] == [r.job for r in improvement.rounds]
    assert again.evaluation.episodes.equals(improvement.evaluation.episodes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"train": range(190, 202)},
        {"validation": [5]},
        {"test": [200]},
        {"rounds": 0},
        {"variant": "nope"},
        {"variant": "nope", "explorer": "explore:share=1"},
        {"explorer": "explore:share=7"},
    ],
)
async def test_improve_refuses_before_anything_runs(open_offline: Open, tmp_path: Path, wrong: dict):
    with pytest.raises(InputError):
        await finetune.improve("no", **wrong, open_session=open_offline, results=tmp_path, say=quiet)
    assert names_in(tmp_path) == {"config"}


async def test_an_evaluation_takes_test_seeds_alone(open_offline: Open, tmp_path: Path):
    async with open_offline() as session:
        for seeds in (range(200, 203), [5], [1099, 1100]):
            with pytest.raises(InputError, match="use the test block"):
                await finetune.evaluate(
                    session, "no", base="baseline", tuned="history", seeds=seeds, results=tmp_path
                )


async def test_a_registered_variant_outlives_the_key_that_it_was_registered_with(
    open_offline: Open, config: Path, tmp_path: Path
):
    finetune.register_variant(
        "history_sft",
        model="ft:gpt-4o-mini-2024-07-18:org::1",
        config=config,
        settings=load_settings(None, {"OPENAI_API_KEY": "sk-canary"}),
    )
    async with open_offline() as session:
        episodes = await run_experiment(
            session, "r", ["history"], ["goto"], [1], results=tmp_path, progress=False
        )
    assert set(episodes["status"]) == {"ok"}
