"""What is learned from: the same from both records, counted, and nothing of another block."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tensorzero import InferenceFilterBooleanMetric, ListInferencesRequest

from babyai_kit import finetune, load_episodes, run_experiment
from babyai_kit.errors import InputError
from babyai_kit.finetune.export import read_rows
from babyai_kit.gateway.protocol import Question
from babyai_kit.gateway.session import Session
from babyai_kit.local.player import ChatRequest, FaultPlan, OfflinePlayer
from babyai_kit.local.player.training_file import read_examples
from babyai_kit.runs.journal import read_steps
from tests.experiment.test_run import open_session  # noqa: F401
from tests.finetune.conftest import TRAIN_SEEDS, Open
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e


async def inferences_in_form(session: Session) -> list:
    """What the fine-tuning form of TensorZero's UI finds: inferences by metric alone."""
    request = ListInferencesRequest(
        function_name="act",
        filters=InferenceFilterBooleanMetric(metric_name="curated", value=True),
        limit=100_000,
    )
    client = session.gateway._client  # type: ignore[attr-defined]  # the form talks to the gateway itself
    return (await client.list_inferences(request=request)).inferences


async def test_both_records_give_the_same_and_the_form_finds_it(
    open_offline: Open, collected: Path, tmp_path: Path
):
    options = {"min_return": 0.3, "max_per_task": 5, "results": collected}
    async with open_offline() as session:
        stored = await finetune.curate(session, "collect", "baseline", **options)
        inferences = await inferences_in_form(session)
        journal = await finetune.curate(session, "collect", "baseline", source="journal", **options)
        alone = await finetune.curate(session, "collect", "baseline", **options | {"results": tmp_path})
    assert stored.examples == journal.examples == alone.examples
    assert stored.digest == journal.digest
    assert stored.counts.equals(journal.counts)

    table = load_episodes("collect", results=collected)
    good = table[table["success"] & (table["episode_return"] >= 0.3)]
    best = good.sort_values("episode_return", ascending=False).groupby("task").head(5)
    chosen = {e.episode_id for e in stored.examples}
    assert chosen == set(best["episode_id"])
    assert {e.seed for e in stored.examples} <= set(TRAIN_SEEDS)
    counts = stored.counts.set_index("stage")
    assert counts.loc["finished", "episodes"] == len(table)
    assert counts.loc["succeeded", "steps"] == table.loc[table["success"], "episode_length"].sum()
    assert counts.loc["return >= 0.3", "episodes"] == len(good)
    assert counts["steps"].iloc[-1] == len(stored.examples) < counts["steps"].iloc[-2]
    assert len({(e.prompt, e.answer) for e in stored.examples}) == len(stored.examples)

    assert {str(i.episode_id) for i in inferences} == chosen
    assert len(inferences) == best["episode_length"].sum()
    assert {int(i.tags["seed"]) for i in inferences} <= set(finetune.TRAIN)


async def test_a_new_choice_takes_the_old_one_back(open_offline: Open, collected: Path):
    async with open_offline() as session:
        await finetune.curate(session, "collect", "baseline", max_per_task=3, results=collected)
        narrow = await finetune.curate(session, "collect", "baseline", max_per_task=1, results=collected)
        inferences = await inferences_in_form(session)
    assert {str(i.episode_id) for i in inferences} == {e.episode_id for e in narrow.examples}
    assert len({e.task for e in narrow.examples}) == len({e.episode_id for e in narrow.examples}) == 5


async def test_only_the_episodes_of_a_table_are_learned_from(open_offline: Open, collected: Path):
    """A run may hold more, of tasks or seeds that the plan no longer has."""
    table = load_episodes("collect", results=collected)
    table = table[(table["task"] == "goto") & (table["seed"] < 5)]
    async with open_offline() as session:
        options = {"episodes": table, "mark_curated": False, "results": collected}
        some = await finetune.curate(session, "collect", "baseline", **options)
    assert {e.episode_id for e in some.examples} == set(table.loc[table["success"], "episode_id"])
    assert some.counts["episodes"].iloc[0] == len(table)


async def test_prompts_are_rendered_as_the_model_got_them(open_session, tmp_path: Path):  # noqa: F811
    got: set[tuple] = set()

    def answers(request: ChatRequest) -> None:
        got.add(request.messages)

    variants = ["baseline", "history_and_reasoning", "dialogue"]
    plan = {"tasks": ["goto", "open"], "seeds": [1, 2], "results": tmp_path, "progress": False}
    plan["history_length"] = 5
    faults = FaultPlan({"invalid_action": 0.15})
    async with OfflinePlayer(answers=answers, faults=faults) as player, open_session(player) as session:
        await run_experiment(session, "r", variants, **plan)
        curations = [
            await finetune.curate(session, "r", variant, source=source, results=tmp_path)
            for variant in variants
            for source in ("clickhouse", "journal")
        ]
    prompts = {e.prompt for curation in curations for e in curation.examples}
    assert len(prompts) > 20
    assert prompts <= got
    noted = {e.prompt for c in curations for e in c.examples if "was not a valid action" in e.prompt[-1][1]}
    assert {len(prompt) > 2 for prompt in noted} == {True, False}
    for stored, journal in zip(curations[::2], curations[1::2], strict=True):
        assert stored.examples == journal.examples
    dialogue = curations[-1]
    assert {len(e.prompt) for e in dialogue.examples} == {2 + 2 * past for past in range(6)}
    files = finetune.export(dialogue, tmp_path / "export", validation_fraction=0)
    for row, example in zip(read_rows(files.training_file), dialogue.examples, strict=True):
        answers = [m for m in row["messages"] if m["role"] == "assistant"]
        assert [m.get("weight", 1) for m in answers] == [0] * (len(answers) - 1) + [1]
        assert tuple((m["role"], m["content"]) for m in row["messages"][:-1]) == example.prompt
    # Our own server reads it, too.
    assert [e.prompt for e in read_examples(files.training_file)] == [e.prompt for e in dialogue.examples]


async def test_invalid_steps_and_orphans_are_left_out(open_session, tmp_path: Path):  # noqa: F811
    plan = {"tasks": ["goto"], "seeds": range(4), "results": tmp_path, "progress": False}
    async with (
        OfflinePlayer(faults=FaultPlan({"invalid_action": 0.2})) as player,
        open_session(player) as session,
    ):
        table = await run_experiment(session, "r", ["history"], **plan)
        steps = [s for of_one in read_steps(tmp_path / "r").values() for s in of_one]
        first = next(s for s in steps if s.episode_id in set(table.loc[table["success"], "episode_id"]))
        run_id = json.loads((tmp_path / "r/run.json").read_text())["run_id"]
        tags = {"run": "r", "run_id": run_id, "step": str(first.step), "seed": str(first.seed)}
        arguments = {"mission": "go to the red ball", "observation": "a lost call", "history": []}
        await session.ask(Question("history", first.episode_id, arguments, tags=tags))
        await session.flush()
        await session.flush()
        stored = await finetune.curate(session, "r", "history", results=tmp_path)
        journal = await finetune.curate(session, "r", "history", source="journal", results=tmp_path)
    assert stored.examples == journal.examples
    assert "orphans left out (1)" in set(stored.counts["stage"])
    assert not any("a lost call" in e.prompt[1][1] for e in stored.examples)
    wins = set(table.loc[table["success"], "episode_id"])
    valid = {s.inference_id for s in steps if s.valid and s.episode_id in wins}
    assert len(valid) < sum(s.episode_id in wins for s in steps)
    assert {e.inference_id for e in stored.examples} == valid


async def test_an_episode_with_a_lost_step_is_left_out_whole(open_offline: Open, tmp_path: Path):
    async with open_offline() as session:
        table = await run_experiment(
            session, "lossy", ["baseline"], ["goto"], range(6), results=tmp_path, progress=False
        )
        wins = table.loc[table["success"], "episode_id"]
        lost = read_steps(tmp_path / "lossy")[wins.iloc[0]][-1]
        client = session.clickhouse()
        client.command(f"ALTER TABLE JsonInference DELETE WHERE id = '{lost.inference_id}'")
        client.close()
        stored = await finetune.curate(session, "lossy", "baseline", results=tmp_path)
        journal = await finetune.curate(session, "lossy", "baseline", source="journal", results=tmp_path)
    assert stored.examples == journal.examples
    assert {e.episode_id for e in stored.examples} == set(wins) - {lost.episode_id}
    counts = stored.counts.set_index("stage")["episodes"]
    assert counts["complete in ClickHouse"] == counts["succeeded"] - 1


@pytest.mark.parametrize(("seeds", "block"), [([198, 200], "validation"), ([5, 1000], "test")])
async def test_a_seed_of_another_block_is_refused(open_offline: Open, tmp_path: Path, seeds, block: str):
    async with open_offline() as session:
        await run_experiment(
            session, "mixed", ["baseline"], ["goto"], seeds, results=tmp_path, progress=False
        )
        for source in ("clickhouse", "journal"):
            with pytest.raises(InputError, match=f"in the {block} block"):
                await finetune.curate(session, "mixed", "baseline", source=source, results=tmp_path)
        with pytest.raises(InputError, match=f"in the {block} block"):
            await finetune.curate(session, "mixed", "baseline", seeds=seeds, results=tmp_path)
        inferences = await inferences_in_form(session)
    assert not {int(i.tags["seed"]) for i in inferences} - set(finetune.TRAIN)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"variant": "nope"}, "unknown variant"),
        ({"source": "memory"}, "unknown source"),
        ({"min_return": 1.5}, "not in range"),
        ({"max_per_task": 0}, "not valid"),
        ({"runs": "absent"}, "no run"),
        ({"min_return": 1.0}, "no step is left to learn from"),
    ],
)
async def test_bad_input_is_refused(open_offline: Open, collected: Path, wrong: dict, message: str):
    arguments = {"runs": "collect", "variant": "baseline", "source": "journal"} | wrong
    async with open_offline() as session:
        with pytest.raises(InputError, match=message):
            await finetune.curate(session, **arguments, results=collected)


def test_the_shared_configuration_is_untouched():
    assert not (CONFIG / "finetuned").exists()
