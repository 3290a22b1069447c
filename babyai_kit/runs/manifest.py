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

FORMAT = 3
"""Of what this version writes. Before 2, every model was asked in JSON mode, which nobody recorded. Before 3,
the keys of all agents had the plan's history length, also of those whose prompt shows no history."""

JSON_MODE = Dialect().as_json()

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
    models: Mapping[str, str]
    """By variant."""
    digests: Mapping[str, str]
    """Of the present prompts, by variant."""
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

    def is_present(self, variant: str, digest: str) -> bool:
        """True if `digest` is that of the variant's present prompt, or the run knows no prompt of it."""
        return self.digests.get(variant, digest) == digest

    def asked_in(self, dialects: Mapping[str, Dialect], config: Config) -> Manifest:
        """The same, with the dialects and the digests that the preflight of this command found."""
        digests = {variant: config.variants[variant].digest for variant in self.plan.variants}
        return replace(self, dialects={**self.dialects, **dialects}, digests={**self.digests, **digests})

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
            values = {f.name: content[f.name] for f in fields(cls) if f.name in content}
            plan = Plan.from_json(content["plan"])
            dialects = content.get("dialects", dict.fromkeys(content["models"].values(), JSON_MODE))
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
    models = {variant: config.variants[variant].model for variant in plan.variants}
    digests = {variant: config.variants[variant].digest for variant in plan.variants}
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
        models=models,
        digests=digests,
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
        plans=before.plans if plan in before.plans else (*before.plans, plan),
        models={**before.models, **models},
        dialects=before.dialects,
        digests={**before.digests, **digests},
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
