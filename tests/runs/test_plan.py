import json
from dataclasses import replace
from typing import Any

import pytest

from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import InputError
from babyai_kit.runs.manifest import Manifest, manifest_for
from babyai_kit.runs.plan import Sampling, make_plan
from tests.support.journals import as_format_3
from tests.support.project import CONFIG

SETTINGS = load_settings(None, {})


@pytest.fixture(scope="module")
def config():
    return load_config(CONFIG, SETTINGS)


@pytest.fixture(scope="module")
def models(config):
    return {name: variant.model for name, variant in config.variants.items()}


def test_the_plan_is_the_product_with_whole_seeds_first(config, models):
    plan = make_plan(config, run="a", variants=["baseline", "history"], tasks=["goto", "open"], seeds=[3, 1])
    keys = plan.keys(models)
    assert [(k.seed, k.task, k.variant) for k in keys] == [
        (seed, task, variant)
        for seed in (3, 1)
        for task in ("goto", "open")
        for variant in ("baseline", "history")
    ]
    assert {k.model for k in keys} == {"offline-player"}


@pytest.mark.parametrize("name", ["", " ", "m\x1b[31m", "m\u202e", 5])
def test_a_model_that_has_no_name_is_refused_with_one_that_has(config, name):
    named = replace(config, settings=replace(SETTINGS, model=name))
    for plan in ({"models": [name]}, {}):
        with pytest.raises(InputError, match="is not valid; name a model, like gpt-") as caught:
            make_plan(named, run="a", **plan)
        assert str(caught.value).isprintable()


def test_shards_divide_the_plan(config, models):
    plan = make_plan(config, run="a", seeds=range(7), repeats=2)
    parts = [plan.keys(models, (i, 3)) for i in range(3)]
    assert sorted(k for part in parts for k in part) == sorted(plan.keys(models))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"variants": ["nope"]}, "unknown variant 'nope'; choose from baseline"),
        ({"variants": []}, "variants is empty"),
        ({"variants": "baseline"}, "is a string"),
        ({"tasks": ["fly"]}, "fly"),
        ({"tasks": []}, "tasks is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [1, 2, 1]}, "given twice: 1"),
        ({"seeds": [-1]}, "seed -1"),
        ({"seeds": [1.5]}, "seed 1.5"),
        ({"seeds": [True]}, "seed True"),
        ({"num_dists": -1}, "num_dists"),
        ({"repeats": 0}, "repeats"),
        ({"history_length": -1}, "history_length"),
    ],
)
def test_bad_plans_are_refused_with_the_reason(config, changed: dict[str, Any], told: str):
    with pytest.raises(InputError, match=told):
        make_plan(config, **{"run": "a", **changed})


@pytest.mark.parametrize(("temperature", "max_tokens"), [(-0.1, 10), (2.1, 10), (float("nan"), 10), (1, 0)])
def test_bad_sampling_is_refused(temperature: float, max_tokens: int):
    with pytest.raises(InputError):
        Sampling(temperature, max_tokens).check()


def test_one_run_name_has_one_sampling(config):
    plan = make_plan(config, run="a")
    first = manifest_for(None, plan, Sampling(1.0, 100), config, SETTINGS)
    again = manifest_for(first, plan, Sampling(1.0, 100), config, SETTINGS)
    assert (again.run_id, again.plans) == (first.run_id, (plan,))
    with pytest.raises(InputError, match=r"temperature=1\.0"):
        manifest_for(first, plan, Sampling(0.5, 100), config, SETTINGS)
    with pytest.raises(InputError, match="max_tokens=100"):
        manifest_for(first, plan, Sampling(1.0, 99), config, SETTINGS)


def test_only_a_prompt_that_shows_history_has_its_length_in_the_key(config, models):
    for length in (8, 4):
        plan = make_plan(config, run="a", seeds=[1], history_length=length)
        manifest = manifest_for(None, plan, Sampling(), config, SETTINGS)
        keys = plan.keys(models, without_history=manifest.without_history)
        lengths = {key.variant: key.history_length for key in keys}
        assert lengths == {
            "baseline": 0,
            "reasoning": 0,
            "history": length,
            "history_and_reasoning": length,
        }


def test_episodes_of_before_format_3_are_found_under_their_key(config, models):
    first = make_plan(config, run="a", variants=["baseline"], seeds=range(9), history_length=8)
    content = json.loads(json.dumps(manifest_for(None, first, Sampling(), config, SETTINGS).as_json()))
    for name in ("without_history", "first_format"):
        del content[name]
    before = Manifest.from_json(as_format_3(content) | {"format": 2}, "run.json")
    assert {key.history_length for key in first.keys(models, without_history=before.without_history)} == {8}
    # With another length, in this and in a later command, these stay what they were.
    for length in (4, 2):
        plan = make_plan(config, run="a", variants=["baseline", "reasoning"], history_length=length)
        before = manifest_for(before, plan, Sampling(), config, SETTINGS)
        assert before.without_history == {"baseline": 8, "reasoning": 0}
