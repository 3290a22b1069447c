"""A run as the browser gets it: what it came to, and its episodes as columns. All text is `visible`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from babyai_kit.configuration.models import is_free, is_human, is_offline_player
from babyai_kit.configuration.project import StrPath
from babyai_kit.environment.suites import SUITES
from babyai_kit.errors import KitError
from babyai_kit.failures import CLASSES
from babyai_kit.hostile_text import visible
from babyai_kit.replay.view import failure_class
from babyai_kit.runs.commands import command_line
from babyai_kit.runs.records import EpisodeKey, total
from babyai_kit.viewer.agent_rows import AgentNames, agent_rows, number, table_of
from babyai_kit.viewer.contents import Contents
from babyai_kit.viewer.plan_rows import plan_rows

OUTCOMES = ("success", "failure", "error", "unfinished", "planned")
CHUNK = 20
"""Episodes of a file of an export."""
OFFLINE = "Offline player: not an LLM"
PERSON = "Played by a person"

Failures = Mapping[str, str]
"""Classes of failed episodes by episode_id, as far as they are known; empty where they cannot be."""


def summary(contents: Contents, results: StrPath) -> dict[str, Any]:
    """RunSummary: what the run came to."""
    keys, records = contents.keys, contents.records
    models, manifest = list(dict.fromkeys(key.model for key in keys)), contents.manifest
    names, damage = AgentNames(keys), list(contents.damage)
    rows: list[dict[str, Any]] = []
    try:
        rows = agent_rows(table_of(records.values(), names))
    except KitError as error:
        damage.append(str(error))
    paid = [record.cost_usd for record in records.values() if not is_free(record.model)]
    return {
        "run": contents.name,
        "created": manifest.created if manifest else None,
        "updated": datetime.fromtimestamp(contents.written, timezone.utc).isoformat(timespec="seconds"),
        "models": [*map(visible, models)],
        "agents": [*map(visible, dict.fromkeys(map(names.of, keys)))],
        "tasks": [*map(visible, _tasks(keys))],
        "planned": len(contents.owed),
        "finished": contents.finished,
        "errors": contents.errors,
        "running": contents.is_running(),
        "cost": number(total(paid)) if paid else None,
        "notes": _notes(contents, models, results),
        "damaged": _damage(damage),
        "agentRows": rows,
    }


def table(contents: Contents, failures: Failures, results: StrPath) -> dict[str, Any]:
    """RunTable: the summary, the plan, and every episode."""
    of_run, keys = summary(contents, results), contents.keys
    names = AgentNames(keys)
    lists = {
        "agents": list(dict.fromkeys(map(names.of, keys))),
        "models": list(dict.fromkeys(key.model for key in keys)),
        "tasks": _tasks(keys),
    }
    known = sum(name in failures for name in contents.failed)
    version = f"{contents.version}-{known}-{of_run['running']:d}"
    return {
        "run": contents.name,
        "version": hashlib.sha256(version.encode()).hexdigest()[:12],
        "summary": of_run,
        "plan": plan_rows(contents),
        "names": {name: [*map(visible, texts)] for name, texts in lists.items()}
        | {
            "outcomes": list(OUTCOMES),
            "failures": [*map(failure_class, CLASSES)],
        },
        "classified": known / len(contents.failed) if contents.failed else 1.0,
        "episodes": _columns(contents, names, lists, failures),
    }


def _columns(
    contents: Contents, names: AgentNames, lists: Mapping[str, list[str]], failures: Failures
) -> dict[str, list[Any]]:
    keys = contents.keys
    place = {name: {text: i for i, text in enumerate(texts)} for name, texts in lists.items()}
    classes = {name: i for i, name in enumerate(CLASSES)}
    records = [contents.records.get(key) for key in keys]
    attempts = [contents.begun.get(key) for key in keys]
    ids = [contents.episode_id(key) for key in keys]

    def class_of(episode_id: str | None) -> int:
        if episode_id not in contents.failed:
            return -1
        return classes.get(failures[episode_id], -1) if episode_id in failures else -2

    def figures(field: str) -> list[Any]:
        return [number(getattr(record, field)) if record else None for record in records]

    chunks, count = [], 0
    for episode_id in ids:
        chunks.append(count // CHUNK)
        count += episode_id is not None
    return {
        "id": ids,
        "agent": [place["agents"][names.of(key)] for key in keys],
        "model": [place["models"][key.model] for key in keys],
        "task": [place["tasks"][key.task] for key in keys],
        "distractors": [key.num_dists for key in keys],
        "seed": [key.seed for key in keys],
        "repeat": [key.repeat for key in keys],
        "history": [key.history_length for key in keys],
        "outcome": [OUTCOMES.index(contents.outcome(key)) for key in keys],
        "failure": [class_of(name) for name in ids],
        "length": [
            record.episode_length if record else attempt.steps if attempt else None
            for record, attempt in zip(records, attempts, strict=True)
        ],
        "maxSteps": [record.max_steps if record else None for record in records],
        "shortest": figures("shortest_length"),
        "episodeReturn": figures("episode_return"),
        "invalid": [record.invalid_actions if record else None for record in records],
        "inputTokens": figures("input_tokens"),
        "outputTokens": figures("output_tokens"),
        "cost": figures("cost_usd"),
        "seconds": figures("wall_s"),
        "error": [visible(record.error) if record and record.error else None for record in records],
        "chunk": chunks,
    }


def _tasks(keys: Iterable[EpisodeKey]) -> list[str]:
    """The tasks in the order of the suites, then others as they come."""
    tasks = list(dict.fromkeys(key.task for key in keys))
    known = dict.fromkeys(task for suite in SUITES.values() for task in suite.tasks)
    return [task for task in known if task in tasks] + [task for task in tasks if task not in known]


def _notes(contents: Contents, models: Iterable[str], results: StrPath) -> list[str]:
    models = list(models)
    notes = [OFFLINE] if any(map(is_offline_player, models)) else []
    if any(map(is_human, models)):
        notes.append(PERSON)
    if not contents.is_whole:
        notes.append(f"In shards; join them: {command_line('merge', contents.name, results=results)}")
    return notes


def _damage(lines: list[str]) -> str | None:
    if not lines:
        return None
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return visible(lines[0]) + more
