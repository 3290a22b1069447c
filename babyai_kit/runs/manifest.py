"""The manifest of a run, `run.json`: what the run was asked for and made with.

A frozen, typed object with a format number. Runs without that number, as the kit wrote before it, are
format 0 and are read here (and their lines in `records.from_json`); nothing else knows about older formats.
"""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from babyai_kit.configuration.dialects import Dialect
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config
from babyai_kit.errors import InputError, JournalError
from babyai_kit.runs.manifest_check import check_manifest
from babyai_kit.runs.plan import Plan, Sampling

FORMAT = 4
"""Of what this version writes. Before 2, every model was asked in JSON mode, which nobody recorded. Before 3,
the keys of all agents had the plan's history length, also of those whose prompt shows no history. Before 4, a
plan had one model, and the latest one took the place of any other."""

JSON_MODE = Dialect().as_json()

Digests = Mapping[str, Mapping[str, str]]
"""Digests of prompts by variant and model: the form of answer that a model is held to is a part of them."""

PACKAGES = (
    "babyai-kit",
    "tensorzero",
    "chdb",
    "minigrid",
    "gymnasium",
    "genai-prices",
    "numpy",
    "pandas",
    "matplotlib",
)


@dataclass(frozen=True)
class Manifest:
    """The content of `run.json`."""

    run: str
    run_id: str
    """A UUID that distinguishes runs of one name in a store that outlives their folders."""
    created: str
    """UTC, ISO 8601; likewise `updated`."""
    updated: str
    plan: Plan
    """Of the latest command."""
    plans: tuple[Plan, ...]
    """Of all commands, each once, in their order."""
    sampling: Sampling
    model: str
    """Of the settings at the latest command."""
    own_models: Mapping[str, str]
    """Of the variants that have a model of their own."""
    digests: Digests
    """Of the present prompts."""
    gateway: str
    """Its URL, or `embedded`."""
    versions: Mapping[str, str | None]
    """Of Python and of packages."""
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    """How each model is asked, by name; the same in every command of the run."""
    without_history: Mapping[str, int] = field(default_factory=dict)
    """The variants whose present prompt shows no history, with the history length in their episodes' keys. It
    is 0, so that another history length does not make another agent of them; in a run that an earlier version
    began, it is what their episodes have."""
    workflow_runs: Mapping[str, str] = field(default_factory=dict)
    """Ids of workflow evaluation runs, by `variant:digest:model` and settings of later plans, if others."""
    seed_first: bool = False
    """How their tasks are named: `seed 3, goto`, or `goto, seed 3` as in earlier versions of the kit."""
    merged: tuple[str, ...] = ()
    """The run_ids of merged shards."""
    first_format: int = FORMAT
    """The format that the run began with."""
    format: int = FORMAT

    @property
    def run_ids(self) -> list[str]:
        """The ids under which the run's rows are found in ClickHouse; several after a merge of shards."""
        return [self.run_id, *self.merged]

    @property
    def models(self) -> tuple[str, ...]:
        """Of all agents that the run was asked for, each once."""
        return tuple(dict.fromkeys(model for plan in self.plans for _, model in plan.agents(self.own_models)))

    def is_present(self, variant: str, model: str, digest: str) -> bool:
        """True if `digest` is that of the agent's present prompt, or the run knows no prompt of it."""
        return self.digests.get(variant, {}).get(model, digest) == digest

    def asked_in(self, dialects: Mapping[str, Dialect], config: Config) -> Manifest:
        """The same, with the dialects and the digests that the preflight of this command found."""
        dialects = {**self.dialects, **dialects}
        digests = _digests(config.asked_in(dialects), self.plan, self)
        return replace(self, dialects=dialects, digests=digests)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any, where: object) -> Manifest:
        """The manifest in `content`, as read from the file `where`.

        Raises JournalError for one that is damaged or that a later version of the kit wrote.
        """
        try:
            if content.get("format", 0) > FORMAT:
                raise JournalError(
                    f"{where} has format {content['format']}, which a later version of the kit wrote; "
                    "install that version to read this run"
                )
            content = _of_one_model(content) if content.get("format", 0) < 4 else content
            values = {f.name: content[f.name] for f in fields(cls) if f.name in content}
            plan = Plan.from_json(content["plan"])
            dialects = content.get("dialects", {})
            values |= {
                "plan": plan,
                "plans": tuple(Plan.from_json(p) for p in content.get("plans", [])) or (plan,),
                "sampling": Sampling(**content["sampling"]),
                "dialects": {model: Dialect.from_json(dialect) for model, dialect in dialects.items()},
                "merged": tuple(content.get("merged", ())),
                "first_format": content.get("first_format", content.get("format", 0)),
                "format": FORMAT,
            }
            manifest = cls(**values)
            check_manifest(manifest)
            return manifest
        except (KeyError, TypeError, AttributeError, ValueError):
            raise JournalError(f"{where} is damaged; move its folder away and run again") from None


def manifest_for(
    before: Manifest | None, plan: Plan, sampling: Sampling, config: Config, settings: Settings
) -> Manifest:
    """The manifest of a command that runs `plan`, given that of the run as it is (None: not begun).

    Raises InputError if sampling parameters differ from those the run began with: its episodes would
    not be comparable under one name.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    own_models = {v: config.variants[v].model for v in plan.variants if config.variants[v].own}
    without_history = {
        variant: 0 if before is None else _history_in_keys(before, variant)
        for variant in plan.variants
        if not config.variants[variant].shows_history
    }
    manifest = Manifest(
        run=plan.run,
        run_id=str(uuid.uuid4()),
        created=now,
        updated=now,
        plan=plan,
        plans=(plan,),
        sampling=sampling,
        model=settings.model,
        own_models=own_models,
        digests=_digests(config.asked_in(before.dialects if before else {}), plan, before),
        gateway=settings.redact(settings.gateway_url) or "embedded",
        without_history=without_history,
        seed_first=True,
        versions={"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    )
    if before is None:
        return manifest
    for name, value in asdict(sampling).items():
        old = getattr(before.sampling, name)
        if old != value:
            raise InputError(
                f"run {plan.run!r} began with {name}={old}, not {value}; keep that or choose another name"
            )
    return replace(
        manifest,
        run_id=before.run_id,
        created=before.created,
        plans=before.plans if any(map(plan.asks_the_same, before.plans)) else (*before.plans, plan),
        own_models={
            **{v: model for v, model in before.own_models.items() if v not in plan.variants},
            **own_models,
        },
        dialects=before.dialects,
        without_history={
            **{v: length for v, length in before.without_history.items() if v not in plan.variants},
            **without_history,
        },
        workflow_runs=before.workflow_runs,
        # Episodes are compared under one name, so a run keeps the names that it began with.
        seed_first=before.seed_first or not before.workflow_runs,
        merged=before.merged,
        first_format=before.first_format,
    )


def _digests(config: Config, plan: Plan, before: Manifest | None) -> dict[str, dict[str, str]]:
    """The digests of the plan's agents and of those that the run has: a prompt changes for all models."""
    digests = {variant: dict(of_models) for variant, of_models in before.digests.items()} if before else {}
    for agent in config.agents(plan.variants, plan.models):
        variant, model = agent.pair
        of_variant = digests.setdefault(variant, {})
        for other in (*of_variant, model):
            of_variant[other] = config.digest(variant, other)
    return digests


def _of_one_model(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of before format 4 in the form of 4: its variants have one model, mostly the settings'."""
    of_variants, model = content["models"], content["model"]
    own = {variant: name for variant, name in of_variants.items() if name != model}
    plan = {**content["plan"], "models": [model]}
    return {
        "dialects": dict.fromkeys(of_variants.values(), JSON_MODE),
        **content,
        "own_models": own,
        "digests": {variant: {of_variants[variant]: d} for variant, d in content["digests"].items()},
        "plan": plan,
        "plans": [{**p, "models": [model]} for p in content.get("plans", [])] or [plan],
    }


def _history_in_keys(run: Manifest, variant: str) -> int:
    """The history length in the keys of a variant of `run` that shows no history."""
    plans = [plan for plan in run.plans if variant in plan.variants]
    if variant in run.without_history or run.first_format >= 3 or not plans:
        return run.without_history.get(variant, 0)
    return max(plans, key=lambda plan: len(plan.seeds)).history_length


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
