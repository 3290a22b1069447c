"""The full counts of the tests beside it: kills, torn journals, failing models, outages, nasty answers.

Prints a row per kind of fault: how many were injected, how many were survived (the final table equals that of
an undisturbed run), and what was lost. Exits with 1 if anything was lost, counted twice or not survived.
`--only` runs one part.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

import babyai_kit.experiment.call_slots
from babyai_kit import ACTIONS, TASKS, connect, run_experiment
from babyai_kit.agents.template_agent import SAMPLE_ARGUMENTS, decide
from babyai_kit.experiment.reconciliation import reconcile_run
from babyai_kit.gateway.protocol import Question
from babyai_kit.local.clickhouse import ensure_server_sync
from babyai_kit.local.player import ChatRequest, OfflinePlayer
from babyai_kit.runs.journal import read_episodes, read_steps
from babyai_kit.runs.metrics import metrics
from babyai_kit.runs.run import Run
from babyai_kit.store.queries import stored_feedback, stored_steps
from tests.support.answers import GOOD, generated
from tests.support.journal_cuts import resume_all
from tests.support.outage import store_by_hand
from tests.support.processes import CONCURRENCY, player_process, run_killed, run_whole, same_figures
from tests.support.project import ROOT, SETTINGS, make_project

Row = dict[str, Any]
Part = Callable[[Path], list[Row]]


def row(fault: str, injected: int, survived: int, lost: int, note: str) -> Row:
    return {"fault": fault, "injected": injected, "survived": survived, "lost": lost, "note": note}


def session_on(player: OfflinePlayer, data: Path, **settings: str) -> Any:
    os.environ.update(OPENAI_BASE_URL=player.base_url, AGENT_MODEL="offline-player", **settings)
    return connect(env_file=None, data=data, quiet=True)


def kills(folder: Path) -> list[Row]:
    """SIGKILL of the run, of ClickHouse and of both, until 12 of each have hit."""
    plan = ["--variants", "baseline,reasoning,history,history_and_reasoning", "--tasks", "goto,pickup"]
    plan += ["--seeds", "0:3", "--history-length", "3"]
    project = make_project(folder / "project", folder / "data")
    rng, rows = random.Random(0), []
    with player_process() as player:
        whole = run_whole(project, "whole", plan, player.base_url)
    for target in ("runner", "clickhouse", "both"):
        runs = []
        while sum(r.kills for r in runs) < 12:
            left = 12 - sum(r.kills for r in runs)
            name = f"{target}-{len(runs)}"
            runs.append(
                run_killed(
                    project, name, plan, whole, [target], min(left, 4), rng, window_s=9, latency_s=0.08
                )
            )
            print(runs[-1], flush=True)
        extra, starts = sum(r.extra_calls for r in runs), sum(r.starts for r in runs)
        allowed = sum(r.allowed_calls for r in runs)
        rows.append(
            row(
                f"SIGKILL of {target}",
                sum(r.kills for r in runs),
                sum(r.kills for r in runs if r.equal),
                sum(r.lost + r.double for r in runs) + max(0, extra - allowed),
                f"{len(runs)} runs of {len(whole)} episodes, {starts} starts; {extra} calls paid twice, at "
                f"most {CONCURRENCY} a kill; ClickHouse missed {sum(r.missing for r in runs)} steps",
            )
        )
    return rows


def torn(folder: Path, every: int = 1) -> list[Row]:
    """Both files of the journal cut at every byte of their last lines."""
    plan = {"variants": ["history"], "tasks": ["goto"], "seeds": [2, 6], "history_length": 3}

    async def tear() -> tuple[int, int]:
        async with OfflinePlayer() as player, session_on(player, folder / "data") as session:
            whole = await run_experiment(session, "r", **plan, results=folder, progress=False)
            count, tables = await resume_all(session, "r", folder, plan, every, folder / "torn")
            return count, sum(same_figures(table, whole) for table in tables)

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        count, equal = asyncio.run(tear())
    return [row("journal cut at a byte", count, equal, count - equal, "steps, episodes, and both together")]


def failing_model(folder: Path) -> list[Row]:
    """The plan of faults of the issue, against its malformed answers alone."""
    spoiled, passing = "malformed=0.05", "429=0.2,500=0.1,reset=0.05,stall=0.05"
    plan = {"variants": ["baseline", "history"], "tasks": TASKS, "seeds": range(4), "progress": False}

    async def run(name: str, faults: str) -> tuple[pd.DataFrame, dict[str, int]]:
        async with (
            OfflinePlayer(faults=faults) as player,
            session_on(player, folder / "data", AGENT_TIMEOUT_MS="2000") as session,
        ):
            return await run_experiment(session, name, **plan, results=folder), dict(player.stats.faults)

    clean, _ = asyncio.run(run("spoiled", spoiled))
    table, faults = asyncio.run(run("faulty", f"{spoiled},{passing}"))
    del os.environ["AGENT_TIMEOUT_MS"]
    injected = sum(count for kind, count in faults.items() if kind != "malformed")
    equal = same_figures(table, clean)
    return [
        row(
            "429, 500, reset, stall (20, 10, 5, 5%)",
            injected,
            injected * equal,
            int((table["status"] != "ok").sum()) + len(clean) - len(table),
            ", ".join(f"{kind}: {count}" for kind, count in sorted(faults.items())),
        )
    ]


def rate_limit(folder: Path) -> list[Row]:
    """A server that takes 8 calls at once, asked by 64: refusals with and without a limit that yields."""
    plan = {"variants": ["baseline"], "tasks": TASKS, "seeds": range(8), "progress": False}

    async def run(name: str) -> tuple[pd.DataFrame, int, float]:
        async with (
            OfflinePlayer(capacity=8, latency_s=0.05) as player,
            session_on(player, folder / "data") as session,
        ):
            began = time.perf_counter()
            table = await run_experiment(session, name, **plan, max_concurrency=64, results=folder)
            return table, player.stats.faults["429"], time.perf_counter() - began

    cut = babyai_kit.experiment.call_slots.CUT
    babyai_kit.experiment.call_slots.CUT = 1.0
    fixed, fixed_refused, fixed_s = asyncio.run(run("fixed"))
    babyai_kit.experiment.call_slots.CUT = cut
    table, refused, adaptive_s = asyncio.run(run("adaptive"))
    errors, fixed_errors = (int((t["status"] != "ok").sum()) for t in (table, fixed))
    return [
        row(
            "429 beyond 8 calls at once, 64 asked for",
            refused,
            refused if not errors else 0,
            errors,
            f"{len(table)} episodes in {adaptive_s:.0f} s; with a fixed limit {fixed_refused} refusals, "
            f"{fixed_errors} errors, {fixed_s:.0f} s",
        )
    ]


def outages(folder: Path) -> list[Row]:
    """ClickHouse away for 10 s in the middle, for plain episodes and for those of a workflow evaluation."""
    plan = {"variants": ["baseline", "history"], "tasks": ["goto", "open"], "seeds": range(6)}

    async def run(url: str, evaluated: bool) -> Row:
        slow = False

        async def answers(request: ChatRequest) -> None:
            await asyncio.sleep(0.15 * slow)

        async with (
            OfflinePlayer(answers=answers) as player,
            session_on(player, folder / "data", TENSORZERO_CLICKHOUSE_URL=url) as session,
        ):
            keep = {"results": folder, "progress": False, "workflow_evaluation": evaluated}
            whole = await run_experiment(session, f"whole-{evaluated}", **plan, **keep)
            slow, name = True, f"out-{evaluated}"
            task = asyncio.create_task(run_experiment(session, name, **plan, **keep, max_concurrency=12))
            while sum(map(len, read_steps(folder / name).values())) < 150:  # noqa: ASYNC110 (a file)
                await asyncio.sleep(0.05)
            await store.away(10)
            table = await task
            found = await reconcile_run(session, name, results=folder)
            client, ids = session.clickhouse(), Run.open(name, results=folder).manifest.run_ids
            stored, feedback = stored_steps(client, ids), stored_feedback(client, ids)
            client.close()
        steps = [s for of_one in read_steps(folder / name).values() for s in of_one]
        lost = {s.inference_id for s in steps if not (r := stored.get(s.inference_id)) or not r.whole}
        named = sum(len(n) for of in (found.missing, found.partial) for n in of.values())
        reached = {r.episode_id for r in stored.values()}
        whole_feedback = sum(
            feedback.get(e.episode_id, set()) == set(metrics(e))
            for e in read_episodes(folder / name).values()
        )
        kind = "workflow evaluation" if evaluated else "plain"
        return row(
            f"ClickHouse away for 10 s, {kind} episodes",
            1,
            int(same_figures(table, whole)),
            len(lost) - named + len(reached) - whole_feedback,
            f"{len(steps)} steps, {len(lost)} never stored, {named} of them named; feedback of "
            f"{whole_feedback} of {len(table)} episodes stored",
        )

    with store_by_hand(folder / "store") as store:
        rows = [asyncio.run(run(store.url, evaluated)) for evaluated in (False, True)]
    del os.environ["TENSORZERO_CLICKHOUSE_URL"]
    return rows


def nasty_answers(folder: Path, count: int = 100_000) -> list[Row]:
    """Generated answers by way of the model server and the real gateway into `decide`."""
    texts = iter(generated(count, seed=7))

    def answers(request: ChatRequest) -> str:
        return next(texts, GOOD[0])

    async def ask() -> tuple[int, int]:
        valid = invalid = 0
        async with OfflinePlayer(answers=answers) as player, session_on(player, folder / "data") as session:

            async def one_of_many() -> None:
                nonlocal valid, invalid
                for _ in range(count // 50):
                    answer = await session.ask(
                        Question(
                            "baseline",
                            session.new_episode_id(),
                            SAMPLE_ARGUMENTS,
                            max_tokens=50_000,
                            dryrun=True,
                        )
                    )
                    decision = decide(answer.parsed)
                    assert decision.action in ACTIONS
                    valid, invalid = valid + decision.valid, invalid + (not decision.valid)

            await asyncio.gather(*(one_of_many() for _ in range(50)))
        return valid, invalid

    valid, invalid = asyncio.run(ask())
    note = f"{valid:,} actions, {invalid:,} counted as invalid, no exception"
    return [row("generated answers", count, valid + invalid, count - valid - invalid, note)]


def hostile_requests(folder: Path) -> list[Row]:
    """The tests of the local ClickHouse against hostile requests."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/clickhouse/test_security.py", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    passed, failed = (
        int(found.group(1)) if (found := re.search(rf"(\d+) {word}", done.stdout)) else 0
        for word in ("passed", "failed")
    )
    note = (
        "no password, foreign Host or Origin, writes by GET, files and URLs, 1 GiB bodies, 1,000 connections"
    )
    return [row("hostile requests to ClickHouse (tests)", passed + failed, passed, failed, note)]


PARTS: dict[str, Part] = {
    part.__name__: part
    for part in (kills, torn, failing_model, rate_limit, outages, nasty_answers, hostile_requests)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=PARTS)
    args = parser.parse_args()
    for name in SETTINGS:
        os.environ.pop(name, None)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        # One server for all parts, so that none starts with the migrations.
        with ensure_server_sync(data, port=0):
            for part in [PARTS[args.only]] if args.only else PARTS.values():
                folder = Path(name) / part.__name__
                folder.mkdir()
                (folder / "data").symlink_to(data)
                began = time.perf_counter()
                rows += part(folder)
                print(f"{part.__name__}: {time.perf_counter() - began:.0f} s", flush=True)
                print(pd.DataFrame(rows).to_string(index=False), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))
    return int(any(r["lost"] or r["survived"] != r["injected"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
