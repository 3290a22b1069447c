"""Runs that are killed at random points and begun again, as real processes; for the tests and the soak.

Knows processes, signals and what must hold afterwards. The model server is a process of its own, so that it
outlives the runs and can say how often it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from babyai_kit import Run, load_episodes
from babyai_kit.gateway.session import Session
from babyai_kit.store.queries import stored_steps
from tests.support.project import ROOT, SETTINGS

CONCURRENCY = 8
LONGEST_S = 240


def environment(**changed: str) -> dict[str, str]:
    """The process environment without a developer's settings."""
    return {k: v for k, v in os.environ.items() if k not in SETTINGS} | changed


@dataclass
class Player:
    """A model server in a process of its own."""

    base_url: str

    def stats(self) -> dict[str, object]:
        with urllib.request.urlopen(self.base_url.replace("/v1/", "/stats?identities")) as answer:
            return json.load(answer)

    def extra_answers(self) -> int:
        """Answers to questions of the plan that had been answered before.

        The question that each start asks beforehand is the first one ever asked.
        """
        by_identity = self.stats()["answers_by_identity"]
        assert isinstance(by_identity, dict)
        return sum(max(0, answers - 1) for answers in list(by_identity.values())[1:])


@contextlib.contextmanager
def player_process(*flags: str) -> Iterator[Player]:
    """`python -m babyai_kit player` on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "babyai_kit", "player", "--port", "0", *flags],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield Player(process.stdout.readline().split()[-1])
    finally:
        process.kill()
        process.wait()


def start(
    project: Path, *words: str, log: Path | None = None, before: Sequence[str] = (), **changed: str
) -> subprocess.Popen[bytes]:
    """`python -m babyai_kit WORDS`, in a session of its own; both outputs go to the file `log`."""
    with open(log or os.devnull, "ab") as out:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "babyai_kit", *words],
            cwd=project,
            env=environment(**changed),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            # A shell that started the tests in the background has SIGINT ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def kill_store(project: Path) -> bool:
    """SIGKILL the local ClickHouse of `project`; False if none was running."""
    data = (project / "data").resolve()
    try:
        pid = int((data / "clickhouse.owner.lock").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False
    if b"babyai_kit.local.clickhouse" not in words or str(data).encode() not in words:
        return False
    os.kill(pid, signal.SIGKILL)
    return True


async def until_stored(session: Session, run: Run) -> None:
    """Wait until ClickHouse holds every call that `run` has recorded, so that a kill loses no row of them."""
    while True:
        stored = stored_steps(session.clickhouse(), run.manifest.run_ids).values()
        if sum(call.whole for call in stored) >= len(run.calls()):
            return
        await asyncio.sleep(0.05)


@dataclass
class Killed:
    """What a run came to that was killed again and again."""

    targets: str
    kills: int = 0
    runner_kills: int = 0
    starts: int = 0
    lost: int = 0
    """Lines of the journal that were there before a kill and not after."""
    double: int = 0
    """Steps or episodes that stand in the journal twice."""
    extra_calls: int = 0
    """Answers that the model server gave twice."""
    missing: int = 0
    """Journalled steps that ClickHouse lost; they are named by `reconcile`."""
    equal: bool = False
    """True if the final table is the undisturbed run's, but for run, episode_id and wall_s."""
    exits: list[int] = field(default_factory=list)

    @property
    def allowed_calls(self) -> int:
        return CONCURRENCY * self.runner_kills


def run_whole(project: Path, name: str, plan: Sequence[str], base_url: str) -> pd.DataFrame:
    """The table of an undisturbed run."""
    settings, log = {"OPENAI_BASE_URL": base_url, "AGENT_MODEL": "offline-player"}, project / f"{name}.log"
    process = start(project, "run", name, *plan, log=log, **settings)
    assert process.wait(LONGEST_S) == 0, log.read_text()[-2000:]
    return load_episodes(name, results=project / "results")


def run_killed(
    project: Path,
    name: str,
    plan: Sequence[str],
    whole: pd.DataFrame,
    targets: Sequence[str],
    kills: int,
    rng: random.Random,
    *,
    window_s: float,
    latency_s: float = 0.02,
) -> Killed:
    """Run `plan`, send SIGKILL up to `kills` times to `targets` (runner, clickhouse, both), and let it end.

    The targets take turns.

    Each kill comes at a random point of the `window_s` seconds after a start. A run that ends before its
    last kill gets no more.
    """
    found = Killed("+".join(targets))
    steps, log = project / "results" / name / "steps.jsonl", project / f"{name}.log"
    with player_process("--latency-s", str(latency_s), "--latency-sigma", "0.5") as player:
        settings = {"OPENAI_BASE_URL": player.base_url, "AGENT_MODEL": "offline-player"}
        words = ["run", name, *plan, "--concurrency", str(CONCURRENCY)]
        while True:
            process = start(project, *words, log=log, **settings)
            found.starts += 1
            try:
                while found.kills < kills:
                    time.sleep(rng.random() * window_s)
                    if process.poll() is not None:
                        break
                    target = targets[found.kills % len(targets)]
                    if target in ("clickhouse", "both"):
                        found.kills += kill_store(project) and target == "clickhouse"
                    if target != "clickhouse":
                        process.kill()
                        process.wait()
                        found.kills += 1
                        found.runner_kills += 1
                        break
                before = complete_lines(steps)
                found.exits.append(process.wait(LONGEST_S))
            finally:
                process.kill()
                process.wait()
            found.lost += sum(
                a != b for a, b in zip(before, complete_lines(steps)[: len(before)], strict=False)
            )
            found.lost += max(0, len(before) - len(complete_lines(steps)))
            if found.exits[-1] == 0:
                break
            assert found.starts < 10 * (kills + 1), log.read_text()[-2000:]
        found.extra_calls = player.extra_answers()
        reconciled = project / f"{name}.reconcile.log"
        start(project, "reconcile", name, log=reconciled, **settings).wait(LONGEST_S)
    found.missing = int(reconciled.read_text().split("steps in the journal, ")[1].split()[0])
    answered = [json.loads(line) for line in complete_lines(steps)]
    ended = [json.loads(line) for line in complete_lines(steps.with_name("episodes.jsonl"))]
    found.double = len(answered) - len({(s["episode_id"], s["step"]) for s in answered})
    found.double += len(ended) - len({e["episode_id"] for e in ended})
    found.lost += max(0, int(whole["episode_length"].sum()) - len(answered))
    found.equal = same_figures(load_episodes(name, results=project / "results"), whole)
    return found


def same_figures(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """True if the tables are equal but for what differs between any two runs."""
    apart = ["run", "episode_id", "wall_s"]
    return one.drop(columns=apart).equals(other.drop(columns=apart))


def complete_lines(file: Path) -> list[bytes]:
    """The complete lines of a journal's file."""
    if not file.exists():
        return []
    return [line for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
