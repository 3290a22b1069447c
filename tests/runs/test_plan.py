from typing import Any

import pytest

from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import InputError
from babyai_kit.runs.manifest import manifest_for
from babyai_kit.runs.plan import Sampling, make_plan
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
