"""Two agents on the same tasks and seeds, of one run or of two: what `stats.compare` says, and the pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from babyai_kit.errors import InputError, KitError, unknown
from babyai_kit.hostile_text import visible
from babyai_kit.runs.episode_table import to_frame
from babyai_kit.runs.plan_text import objects_text
from babyai_kit.runs.records import EpisodeKey
from babyai_kit.stats import ALL_TASKS, MEASURES, compare, verdict
from babyai_kit.viewer.agent_rows import AgentNames, number
from babyai_kit.viewer.contents import Contents

Place = tuple[str, int, int, int]
"""Task, distracting objects, seed, repeat: where two agents meet."""

SUCCESS = MEASURES["success"]


@dataclass(frozen=True)
class Side:
    """One agent of a run. `agent` and `model` as the run's table names them; empty: the run's first."""

    run: str
    agent: str = ""
    model: str = ""


def sides_of(contents: Contents) -> list[Side]:
    """The agents of a run, in the order of its plan."""
    keys = contents.keys
    names = AgentNames(keys)
    pairs = dict.fromkeys((visible(names.of(key)), visible(key.model)) for key in keys)
    return [Side(contents.name, agent, model) for agent, model in pairs]


def found_side(contents: Contents, side: Side) -> Side:
    """The agent of the run that `side` means. Raises InputError if there is none."""
    sides = sides_of(contents)
    for one in sides:
        if side.agent in ("", one.agent) and side.model in ("", one.model):
            return one
    if not sides:
        raise InputError(f"run {contents.name!r} has no agent yet; wait for its first episode")
    if side.agent not in {one.agent for one in sides}:
        raise InputError(unknown("agent", side.agent, dict.fromkeys(one.agent for one in sides)))
    raise InputError(unknown("model", side.model, [o.model for o in sides if o.agent == side.agent]))


def comparison(a_run: Contents, a: Side, b_run: Contents, b: Side) -> dict[str, Any]:
    """Comparison: how much more often `b` succeeds than `a` on their common tasks and seeds, and every pair.

    Where both played with several numbers of distracting objects, of the one with the most pairs. Raises
    InputError for an agent that is not there.
    """
    a, b = found_side(a_run, a), found_side(b_run, b)
    places = _places(a_run, a), _places(b_run, b)
    common = [place for place in places[0] if place in places[1]]
    rows = [_pair(place, *(of[place] for of in places), runs=(a_run, b_run)) for place in common]
    result: dict[str, Any] = {
        "a": vars(a),
        "b": vars(b),
        "seeds": 0,
        "difference": None,
        "low": None,
        "high": None,
        "pValue": None,
        "text": "They have no task and seed in common, so they cannot be compared.",
        "rows": rows,
    }
    levels = [
        place[1]
        for place in common
        if places[0][place] in a_run.records and places[1][place] in b_run.records
    ]
    if not levels:
        return result if not common else result | {"text": "No pair of episodes has ended yet."}
    level = max(dict.fromkeys(levels), key=levels.count)
    tasks = {task for task, distractors, *_ in common if distractors == level}
    tables = [
        _episodes(contents, of.values(), level, tasks)
        for contents, of in zip((a_run, b_run), places, strict=True)
    ]
    names = _names(a, b)
    try:
        row = _compared(tables, names)
    except KitError as error:
        return result | {"text": visible(str(error))}
    text = verdict(names[1], row, SUCCESS)
    if len(set(levels)) > 1:
        text += f" These are the episodes with {objects_text(level)}."
    return result | {
        "seeds": int(row["n_seeds"]),
        "difference": number(row["difference"]),
        "low": number(row["low"]),
        "high": number(row["high"]),
        "pValue": number(row["p_value"]),
        "text": visible(text),
    }


def _episodes(
    contents: Contents, keys: Iterable[EpisodeKey], distractors: int, tasks: set[str]
) -> pd.DataFrame:
    """The `episodes` table of these keys, as far as they have rows, on these tasks."""
    records = (contents.records.get(key) for key in keys)
    return to_frame(r for r in records if r and r.num_dists == distractors and r.task in tasks)


def _compared(tables: Sequence[pd.DataFrame], names: tuple[str, str]) -> dict[Any, Any]:
    """The row of `stats.compare` over all tasks."""
    # Two agents whom only their runs, models or prompts tell apart, too.
    parts = [
        table.assign(run="", variant=name, model="", variant_digest="")
        for table, name in zip(tables, names, strict=True)
    ]
    table = compare(pd.concat(parts, ignore_index=True), names[0], measures=["success"])
    return table[table["task"] == ALL_TASKS].iloc[0].to_dict()


def _names(a: Side, b: Side) -> tuple[str, str]:
    """What tells the sides apart: agent, model and run, as far as they differ."""
    differing = [field for field in ("agent", "model", "run") if getattr(a, field) != getattr(b, field)]
    fields = differing if differing and differing[0] == "agent" else ["agent", *differing]
    one, two = (", ".join(getattr(side, field) for field in fields) for side in (a, b))
    return (one, two) if one != two else (f"{one} (first)", f"{two} (second)")


def _places(contents: Contents, side: Side) -> dict[Place, EpisodeKey]:
    """The planned and other episodes of an agent, by place."""
    keys = contents.keys
    names = AgentNames(keys)
    return {
        (key.task, key.num_dists, key.seed, key.repeat): key
        for key in keys
        if visible(names.of(key)) == side.agent and visible(key.model) == side.model
    }


def _pair(
    place: Place, a: EpisodeKey, b: EpisodeKey, *, runs: tuple[Contents, Contents]
) -> Mapping[str, Any]:
    task, distractors, seed, repeat = place
    sides = [
        {"id": contents.episode_id(key), "outcome": contents.outcome(key)}
        for contents, key in zip(runs, (a, b), strict=True)
    ]
    return {
        "task": visible(task),
        "distractors": distractors,
        "seed": seed,
        "repeat": repeat,
        "a": sides[0],
        "b": sides[1],
    }
