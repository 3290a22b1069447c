"""The journal after the worst: torn at any byte, on a full disk, read-only, in the way of a file."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import load_episodes, run_experiment
from babyai_kit.clickhouse import ensure_server_sync
from babyai_kit.config import load_config
from babyai_kit.episode import LiveEpisode
from babyai_kit.journal import Journal, read_episodes, read_registrations, read_steps
from babyai_kit.offline_player import OfflinePlayer
from babyai_kit.resume import divide
from babyai_kit.settings import load_settings
from tests.conftest import CONFIG
from tests.faults.killing import environment, make_project, same_figures
from tests.faults.tearing import FILES, resume_all, tears

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
    config = load_config(CONFIG, load_settings(None, {}))
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
    assert "it goes on where it stopped" in line
    assert "Traceback" not in done.stderr


def test_a_disk_that_is_full_stops_the_run_with_a_word_and_it_goes_on_with_more(tmp_path, data):
    """The limit is the kernel's on the size of a file: the write of a line fails in its middle."""
    project = make_project(tmp_path / "project", data)
    with ensure_server_sync(data):
        full = kit(
            project,
            *COMMAND,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)),
        )
        one_line(full, "cannot be written (File too large)")
        kept = (project / "results/r/steps.jsonl").read_bytes()
        assert 100_000 < len(kept) <= 150_000
        assert kept.endswith(b"\n")
        rest = kit(project, *COMMAND)
        whole = kit(project, "run", "whole", *COMMAND[2:])
    assert rest.returncode == whole.returncode == 0
    assert (project / "results/r/steps.jsonl").read_bytes().startswith(kept)
    assert same_figures(*(load_episodes(run, results=project / "results") for run in ("r", "whole")))


OWN_MOUNTS = ("unshare", "--mount") if os.getuid() == 0 else ("unshare", "--map-root-user", "--mount")


@pytest.fixture
def mounts() -> tuple[str, ...]:
    """What lets a command mount file systems that nobody else sees."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare, so no file systems of the test's own")
    tried = subprocess.run([*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    if tried.returncode:
        pytest.skip("mounting is not permitted here; the limit on a file's size is tested")
    return OWN_MOUNTS


def test_a_small_disk_fills_up_and_the_run_goes_on_once_it_is_larger(tmp_path, data, mounts):
    project = make_project(tmp_path / "project", data)
    (project / "results").mkdir()
    command = f"{sys.executable} -m babyai_kit {' '.join(COMMAND)}"
    script = f"""
        mount -t tmpfs -o size=256k none results || exit 9
        {command} > full.out 2> full.err; echo $? > full.code
        tail -c 1 results/r/steps.jsonl | xxd -p > full.end
        mount -o remount,size=64m results
        {command} > rest.out 2> rest.err; echo $? > rest.code
        cp -r results kept
    """
    subprocess.run([*mounts, "sh", "-c", script], cwd=project, env=environment(), check=True, timeout=200)
    told = (project / "full.err").read_text()
    assert "cannot be written (No space left on device)" in told
    assert "Traceback" not in told
    codes = [(project / f"{name}.code").read_text().strip() for name in ("full", "rest")]
    assert codes == ["1", "0"]
    assert (project / "full.end").read_text().strip() == "0a"
    assert kit(project, "run", "whole", *COMMAND[2:]).returncode == 0
    whole = load_episodes("whole", results=project / "results")
    assert same_figures(load_episodes("r", results=project / "kept"), whole)


def test_a_read_only_results_directory_is_told_before_the_first_call(tmp_path, data, mounts):
    project = make_project(tmp_path / "project", data)
    (project / "results").mkdir()
    script = f"mount -t tmpfs -o ro none results; exec {sys.executable} -m babyai_kit {' '.join(COMMAND)}"
    done = kit(project, before=(*mounts, "sh", "-c", script, "--"))
    one_line(done, "cannot be written (Read-only file system)")
    assert "episodes are done" not in done.stdout


def test_a_file_where_the_results_should_be_is_told(tmp_path, data):
    project = make_project(tmp_path / "project", data)
    (project / "results").write_text("")
    one_line(kit(project, *COMMAND), "cannot be written")
    assert (project / "results").read_text() == ""
