"""The journal after the worst: torn at any byte, on a full disk, read-only, in the way of a file."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import load_episodes, run_experiment
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import JournalError
from babyai_kit.experiment.backlog import divide
from babyai_kit.experiment.live_episode import LiveEpisode
from babyai_kit.local.clickhouse import ensure_server_sync
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.runs.journal import Journal, read_episodes, read_manifest, read_registrations, read_steps
from tests.support.journal_cuts import FILES, resume_all, tears
from tests.support.processes import environment, same_figures
from tests.support.project import CONFIG, make_project

pytestmark = pytest.mark.e2e

PLAN: dict[str, Any] = {"variants": ["history"], "tasks": ["goto"], "seeds": [2, 6], "history_length": 3}
COMMAND = ["run", "r", "--variants", "baseline,history", "--tasks", "goto,open", "--seeds", "0:3"]


async def test_a_journal_torn_at_any_byte_loads_and_its_run_ends_the_same(open_session, tmp_path):
    async with OfflinePlayer() as player, open_session(player.base_url) as session:
        whole = await run_experiment(session, "r", **PLAN, results=tmp_path, progress=False)
        before = player.stats.answers
        count, tables = await resume_all(session, "r", tmp_path, PLAN, 151, tmp_path / "torn")
        # A torn step is asked again, nothing else, beside the question that each start asks beforehand.
        assert player.stats.answers - before <= 2 * count
    assert count > 10
    assert all(same_figures(table, whole) for table in tables)

    folder, torn = tmp_path / "r", tmp_path / "each"
    config = load_config(CONFIG, session.settings).asked_in(read_manifest(folder).dialects)
    keys = [record.key for record in read_episodes(folder).values()]
    steps = sum(map(len, read_steps(folder).values()))
    for tear in tears(folder):
        torn.mkdir()
        for name, size in zip(FILES, (tear.steps, tear.episodes), strict=True):
            (torn / name).write_bytes((folder / name).read_bytes()[:size])
        with Journal(torn):
            rest = divide(
                config,
                keys,
                read_episodes(torn),
                read_steps(torn),
                read_registrations(torn),
                run_id="i",
                new_episode_id=lambda: "new",
            )
        assert len(rest.owed) <= 1
        for planned in rest.owed:
            assert LiveEpisode(planned).planned.episode_id != "new"
        assert steps - 1 <= sum(map(len, read_steps(torn).values())) <= steps
        shutil.rmtree(torn)


async def test_a_run_that_goes_on_names_the_line_that_somebody_changed(open_session, tmp_path):
    async with OfflinePlayer() as player, open_session(player.base_url) as session:
        plan = PLAN | {"seeds": [6], "results": tmp_path, "progress": False}
        await run_experiment(session, "r", **plan)
        (tmp_path / "r/episodes.jsonl").write_text("")
        file = tmp_path / "r/steps.jsonl"
        lines = file.read_text().splitlines(keepends=True)
        row = json.loads(lines[3])
        lines[3] = json.dumps(row | {"observation": f"{row['observation']}!"}) + "\n"
        file.write_text("".join(lines))
        with pytest.raises(
            JournalError, match=r"another observation at line 4 of .*; that line or one of this"
        ):
            await run_experiment(session, "r", **plan)
        # As the message says: without the episode's lines from there on, it is played on.
        file.write_text("".join(lines[:3]))
        assert len(await run_experiment(session, "r", **plan)) == 1


def kit(project: Path, *words: str, before: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*before, sys.executable, "-m", "babyai_kit", *words],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        **more,
    )


def one_line(done: subprocess.CompletedProcess[str], told: str) -> None:
    """The run ended with status 1, a clear message and no traceback."""
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert told in line
    assert "continues where it stopped" in line
    assert "Traceback" not in done.stderr


OWN_MOUNTS = ("unshare", "--mount") if os.getuid() == 0 else ("unshare", "--map-root-user", "--mount")


@pytest.fixture
def mounts() -> tuple[str, ...]:
    """What lets a command mount file systems that nobody else sees; empty where that is not permitted."""
    words = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"]
    permitted = shutil.which("unshare") and not subprocess.run(words, capture_output=True).returncode
    return OWN_MOUNTS if permitted else ()


def test_a_disk_that_is_full_stops_the_run_with_a_word_and_it_goes_on_with_more(tmp_path, data, mounts):
    project = make_project(tmp_path / "project", data)
    command = f"{sys.executable} -m babyai_kit {' '.join(COMMAND)}"
    script = f"""
        mkdir results && mount -t tmpfs -o size=256k none results || exit 9
        {command} 2> told; echo $? > code
        cp -r results kept
    """
    # The local ClickHouse is there already: it shall not fall under the limit.
    with ensure_server_sync(data):
        if mounts:
            subprocess.run([*mounts, "sh", "-c", script], cwd=project, env=environment(), timeout=200)
            (project / "results").rmdir()
            (project / "kept").rename(project / "results")
            code, told = int((project / "code").read_text()), (project / "told").read_text()
            assert "(No space left on device)" in told
        else:
            limit = (150_000, 150_000)
            done = kit(project, *COMMAND, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
            code, told = done.returncode, done.stderr
            assert "(File too large)" in told
        assert code == 1
        assert "cannot write to" in told
        assert "continues where it stopped" in told
        assert "Traceback" not in told
        kept = (project / "results/r/steps.jsonl").read_bytes()
        assert len(kept) > 50_000
        assert kept.endswith(b"\n")
        rest, whole = kit(project, *COMMAND), kit(project, "run", "whole", *COMMAND[2:])
    assert rest.returncode == whole.returncode == 0
    assert (project / "results/r/steps.jsonl").read_bytes().startswith(kept)
    assert same_figures(*(load_episodes(run, results=project / "results") for run in ("r", "whole")))


def test_a_read_only_results_directory_is_told_before_the_first_call(tmp_path, data, mounts):
    if not mounts:
        pytest.skip("mounting is not permitted here")
    project = make_project(tmp_path / "project", data)
    (project / "results").mkdir()
    script = f"mount -t tmpfs -o ro none results; exec {sys.executable} -m babyai_kit {' '.join(COMMAND)}"
    done = kit(project, before=(*mounts, "sh", "-c", script, "--"))
    one_line(done, "cannot write to results/r (Read-only file system)")
    assert "episodes are done" not in done.stdout


def test_a_file_where_the_results_should_be_is_told(tmp_path, data):
    project = make_project(tmp_path / "project", data)
    (project / "results").write_text("")
    one_line(kit(project, *COMMAND), "cannot write to")
    assert (project / "results").read_text() == ""
