"""What minigrid's expert and random actions reach on the named suites: tables of docs/suites.md, and JSON.

    python benchmarks/suite_references.py [--json PATH] [--page docs/suites.md] [--seeds 1000:1100]

Episodes in which the expert gives up count as its failures, and their seeds are named.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from babyai_kit.cli.arguments import seeds as seed_range
from babyai_kit.environment import SUITES, Suite, make_env
from babyai_kit.runs.references import EXPERT, RANDOM, reference_episodes
from babyai_kit.runs.seed_blocks import TEST
from babyai_kit.stats import ALL_TASKS, estimates, finished

HEAD = ["task", "for example", "at most", "expert", "random", "expert's steps", "shortest path"]
START, END = "<!-- written by benchmarks/suite_references.py -->", "<!-- end -->"


def rows_of(suite: Suite, episodes: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per task, then one of all: success with intervals (shares), steps (means)."""
    rates = pd.concat(
        [
            estimates(episodes, "success", ["variant", "task"]),
            estimates(episodes, "success", ["variant"]).assign(task=ALL_TASKS),
        ]
    ).set_index(["variant", "task"])
    rows = []
    for task in (*suite.tasks, ALL_TASKS):
        of_task = episodes if task == ALL_TASKS else episodes[episodes["task"] == task]
        expert = finished(of_task[of_task["variant"] == EXPERT])
        row: dict[str, Any] = {"task": task, "example": None}
        if task != ALL_TASKS:
            env = make_env(task, num_dists=suite.num_dists)
            row["example"] = env.reset(seed=int(expert["seed"].min()))[0]["mission"]
        row |= {"max_steps": [int(expert["max_steps"].min()), int(expert["max_steps"].max())]}
        for variant in (EXPERT, RANDOM):
            rate = rates.loc[(variant, task)]
            row[variant] = [float(rate[name]) for name in ("value", "low", "high")]
        row["expert_steps"] = float(expert.loc[expert["success"], "episode_length"].mean())
        known = expert["shortest_length"].notna().all()
        row["shortest_length"] = float(expert["shortest_length"].mean()) if known else None
        given_up = expert[expert["error"].notna()]
        row["gave_up"] = dict(zip(given_up["seed"].astype(str), given_up["error"], strict=True))
        rows.append(row)
    return rows


def markdown(suite: Suite, rows: Sequence[dict[str, Any]], seeds: Sequence[int]) -> str:
    """A section of the page."""
    lines = [f"## {suite.name}", "", suite.sentence, "", _line(HEAD), _line(["---"] * len(HEAD))]
    for row in rows:
        name = row["task"] if row["task"] == ALL_TASKS else f"`{row['task']}`"
        low, high = row["max_steps"]
        limit = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        shortest = "not known" if row["shortest_length"] is None else f"{row['shortest_length']:.1f}"
        steps = [f"{row['expert_steps']:.1f}", shortest]
        rates = [_rate(row[EXPERT]), _rate(row[RANDOM])]
        lines.append(_line([name, row["example"] or "", limit, *rates, *steps]))
    return "\n".join([*lines, "", _verdict(rows, len(seeds) * len(suite.tasks)), ""])


def _verdict(rows: Sequence[dict[str, Any]], episodes: int) -> str:
    """The expert's failures, and in which of them it gave up."""
    failed = round(episodes * (1 - rows[-1][EXPERT][0]))
    if not failed:
        return f"The expert succeeded in all {episodes} episodes."
    given_up = [f"`{row['task']}` (seeds {', '.join(row['gave_up'])})" for row in rows[:-1] if row["gave_up"]]
    reasons = f", by giving up in {' and '.join(given_up)}" if given_up else ""
    return f"The expert failed in {failed} of {episodes} episodes{reasons}."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(rate: Sequence[float]) -> str:
    value, low, high = (f"{round(100 * share, 1):g}" for share in rate)
    return f"{value}% ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--page", type=Path, help="the page whose tables to replace")
    parser.add_argument("--seeds", type=seed_range, default=list(TEST), metavar="SEEDS")
    args = parser.parse_args()
    figures, sections = {}, []
    for suite in SUITES.values():
        episodes = reference_episodes(args.seeds, suite.tasks, num_dists=suite.num_dists, run=suite.name)
        rows = rows_of(suite, episodes)
        figures[suite.name] = {"num_dists": suite.num_dists, "tasks": rows}
        sections.append(markdown(suite, rows, args.seeds))
        print(sections[-1])
    if args.json:
        args.json.write_text(json.dumps({"seeds": args.seeds, "suites": figures}, indent=1) + "\n")
    if args.page:
        text = args.page.read_text(encoding="utf-8")
        written = "\n".join([START, "", *sections, END])
        page = re.sub(f"{re.escape(START)}.*{re.escape(END)}", lambda _: written, text, flags=re.DOTALL)
        args.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
