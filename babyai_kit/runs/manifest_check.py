"""Whether a manifest that was read can be what the kit wrote: the types and ranges of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from babyai_kit.runs.plan import Plan

if TYPE_CHECKING:
    from babyai_kit.runs.manifest import Manifest

MAX_EPISODES = 10_000_000
"""Of a plan; its episodes are listed one by one."""

MAX_SEED = 2**63
"""Tables hold whole numbers of 64 bits; likewise for the other numbers of a plan."""


def check_manifest(manifest: Manifest) -> None:
    """Raises ValueError or TypeError for one that cannot be."""
    for text in (manifest.run, manifest.run_id, manifest.model, manifest.gateway, *manifest.merged):
        _expect(isinstance(text, str))
    for time in (manifest.created, manifest.updated):
        datetime.fromisoformat(time)
    for texts in (manifest.own_models, manifest.workflow_runs, *manifest.digests.values()):
        _expect(isinstance(texts, Mapping) and all(isinstance(text, str) for text in texts.values()))
    _expect(isinstance(manifest.versions, Mapping))
    _expect(all(isinstance(version, (str, type(None))) for version in manifest.versions.values()))
    manifest.sampling.check()
    for plan in (manifest.plan, *manifest.plans):
        _check_plan(plan, manifest)


def _check_plan(plan: Plan, manifest: Manifest) -> None:
    _expect(isinstance(plan.run, str))
    _expect(all(isinstance(name, str) for name in (*plan.variants, *plan.models)))
    agents = plan.agents(manifest.own_models)
    _expect(all(model in manifest.digests.get(variant, {}) for variant, model in agents))
    _expect(all(isinstance(task, str) for task in plan.tasks))
    _expect(_whole((*plan.seeds, plan.num_dists, plan.repeats, plan.history_length)))
    count = len(agents) * len(plan.tasks) * len(plan.seeds) * plan.repeats
    _expect(0 < count <= MAX_EPISODES)


def _whole(numbers: Iterable[Any]) -> bool:
    return all(type(number) is int and 0 <= number < MAX_SEED for number in numbers)


def _expect(condition: bool) -> None:
    if not condition:
        raise ValueError
