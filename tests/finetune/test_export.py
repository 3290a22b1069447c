from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyai_kit import finetune
from babyai_kit.configuration.models import base_model
from babyai_kit.errors import InputError
from babyai_kit.finetune.costs import check_budget
from babyai_kit.finetune.export import check_rows, read_rows
from babyai_kit.local.player.training_file import read_examples
from tests.support.finetune_examples import curation, example
from tests.support.project import CONFIG


def seeds_in(file: Path, of: finetune.Curation) -> set[int]:
    home = {e.prompt[1][1]: e.seed for e in of.examples}
    return {home[row["messages"][1]["content"]] for row in read_rows(file)}


@settings(max_examples=15)
@given(
    seeds=st.sets(st.integers(0, 199), min_size=8, max_size=40),
    fraction=st.sampled_from([0.0, 0.1, 0.2, 0.5]),
    draw=st.integers(0, 5),
)
def test_the_split_is_by_seed_and_loses_nothing(tmp_path_factory, seeds, fraction, draw):
    source = curation(seeds, 3)
    export = finetune.export(source, tmp_path_factory.mktemp("e"), validation_fraction=fraction, seed=draw)
    train = seeds_in(export.training_file, source)
    held_out = seeds_in(export.validation_file, source) if export.validation_file else set()
    assert train | held_out == seeds
    assert not train & held_out
    assert len(held_out) == round(fraction * len(seeds))
    assert export.examples + export.validation_examples == 3 * len(seeds)
    assert finetune.read_export(export.folder) == export


def test_a_line_is_a_conversation_in_openais_form(tmp_path: Path):
    source = curation()
    export = finetune.export(source, tmp_path, validation_fraction=0)
    first = json.loads(export.training_file.read_text().splitlines()[0])
    messages = [(m["role"], m["content"]) for m in first["messages"]]
    assert messages == [*source.examples[0].prompt, ("assistant", '{"action": "go forward"}')]
    assert set(first) == {"messages"}
    # What the offline player's side reads is what was written, token for token.
    rows = read_examples(export.training_file)
    assert [(e.prompt, e.answer) for e in rows] == [(e.prompt, e.answer) for e in source.examples]
    assert sum(e.tokens for e in rows) == export.tokens
    assert export.validation_file is None


def test_earlier_answers_in_a_prompt_are_not_learned(tmp_path: Path):
    talk = (("user", "Mission"), ("assistant", '{"action": "drop"}'), ("user", "What now?"))
    export = finetune.export(curation(prompt=talk), tmp_path, validation_fraction=0)
    for row in read_examples(export.training_file):
        assert row.prompt == talk
        assert list(row.turns()) == [(talk, '{"action": "go forward"}')]


def test_the_same_examples_make_the_same_files(tmp_path: Path):
    one, other = (finetune.export(curation(), tmp_path / name) for name in ("a", "b"))
    assert one.digests == other.digests


@pytest.mark.parametrize("stranger", [200, 1000, 10_000, 500])
def test_a_seed_of_another_block_is_refused(tmp_path: Path, stranger: int):
    with pytest.raises(InputError, match=f"seeds {stranger} are in"):
        finetune.export(curation([*range(10), stranger]), tmp_path)
    assert not list(tmp_path.iterdir())
    export = finetune.export(curation(), tmp_path)
    content = json.loads((tmp_path / "export.json").read_text())
    (tmp_path / "export.json").write_text(json.dumps(content | {"seeds": [*content["seeds"], stranger]}))
    with pytest.raises(InputError, match=f"seeds {stranger} are in"):
        finetune.read_export(export.folder)


def test_what_was_changed_after_the_export_is_noticed(tmp_path: Path):
    export = finetune.export(curation(), tmp_path)
    with export.training_file.open("a") as file:
        file.write(export.training_file.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="was changed after its export"):
        finetune.read_export(tmp_path)
    export.training_file.unlink()
    with pytest.raises(InputError, match="no complete export"):
        finetune.read_export(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": (("robot", "Go."),)}, "line 1 has a message with an invalid role"),
        ({"answer": ""}, "line 1 has a message without text"),
        ({"prompt": ()}, "line 1 is not a conversation"),
        ({"answer": "word " * 70_000}, "line 1 has 7.* tokens, more than"),
    ],
)
def test_examples_that_would_be_refused_are_reported_before_the_upload(
    tmp_path: Path, fields: dict, message: str
):
    with pytest.raises(InputError, match=message):
        finetune.export(curation(**fields), tmp_path)


def test_too_few_examples_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="would hold 8 examples but needs at least 10"):
        finetune.export(curation(range(4), 2), tmp_path, validation_fraction=0)


def test_the_answer_must_come_last():
    row = {"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}
    with pytest.raises(InputError, match="does not end with the assistant's answer"):
        check_rows([row], "file", min_examples=1)


def test_equal_examples_have_equal_digests_wherever_they_come_from():
    one = curation()
    moved = dataclasses.replace(
        one, examples=tuple(dataclasses.replace(e, inference_id="other") for e in one.examples)
    )
    assert one.digest == moved.digest != curation(steps=4).digest
    assert example(1).prompt != example(2).prompt


def test_the_estimate_is_tokens_times_epochs_times_price(tmp_path: Path):
    export = finetune.export(curation(), tmp_path)
    estimate = finetune.estimate_training(export, n_epochs=2, config=CONFIG)
    assert estimate.tokens == 2 * export.tokens
    assert math.isclose(estimate.cost_usd or 0, 2 * export.tokens * 3.0 / 1e6)
    again = finetune.estimate_training(export, model="ft:gpt-4o-mini-2024-07-18:org::x", config=CONFIG)
    assert math.isclose(again.cost_usd or 0, 3 * export.tokens * 3.0 / 1e6)
    assert finetune.estimate_training(export, model="mine", config=CONFIG).cost_usd is None
    assert finetune.estimate_training(export, model="offline-player", config=CONFIG).cost_usd == 0
    check_budget(estimate, estimate.cost_usd)
    with pytest.raises(InputError, match="more than max_cost_usd"):
        check_budget(estimate, (estimate.cost_usd or 0) / 2)
    with pytest.raises(InputError, match="needs a training price"):
        check_budget(finetune.estimate_training(export, model="mine", config=CONFIG), 1.0)
    assert base_model("ft:a:b::c") == "a"
    assert base_model("llama3:8b") == "llama3:8b"
