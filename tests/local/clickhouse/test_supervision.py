"""Life of the server process, with real kills: how it is found, shared, refused, replaced and stopped."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clickhouse_connect.driver.client import Client

from babyai_kit.errors import StoreError
from babyai_kit.local.clickhouse import EXIT_TAKEN, ensure_server, ensure_server_sync, launcher
from babyai_kit.local.clickhouse.data_directory import DataDirectory, ServerState, read_state, write_state
from babyai_kit.store.client import open_client

pytestmark = pytest.mark.e2e

USER = """
import sys
from babyai_kit.local.clickhouse import ensure_server_sync
handle = ensure_server_sync(sys.argv[1], port=0)
print(handle.pid, handle.port, flush=True)
sys.stdin.readline()
"""


class User:
    """A process that uses the server of `path` until told to end."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def server(self) -> tuple[int, int]:
        """The server's pid and port."""
        assert self.process.stdout is not None
        pid, port = self.process.stdout.readline().split()
        return int(pid), int(port)

    def end(self) -> None:
        self.process.communicate("\n", timeout=200)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=200)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return True


def until(condition: Callable[[], bool], timeout_s: float = 120) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory with a name that is a pattern and needs quoting; its server is gone afterwards."""
    path = tmp_path / "it's {da,ta} *?&x=1"
    yield path
    state = read_state(DataDirectory(path))
    if state is not None and alive(state.pid):
        assert until(lambda: not alive(state.pid)), "a test left its server running"


def test_processes_that_start_at_once_share_one_server(data):
    users = [User(data) for _ in range(5)]
    servers = {user.server() for user in users}
    assert len(servers) == 1
    pid, _ = servers.pop()

    for user in users[:-1]:
        user.end()
    time.sleep(3)
    assert alive(pid)
    users[-1].end()

    assert until(lambda: not alive(pid))
    assert not DataDirectory(data).state_file.exists()


def test_a_killed_user_lets_go(data):
    user = User(data)
    pid, _ = user.server()
    user.kill()
    assert until(lambda: not alive(pid))


async def test_async_twin_and_client_hold_the_server(data):
    handle = await ensure_server(data, port=0)
    client = open_client("", data=data)
    handle.close()
    time.sleep(3)  # noqa: ASYNC251
    assert client.command("SELECT 1") == 1
    client.close()
    assert until(lambda: not alive(handle.pid))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_hold_the_server(data):
    handle = ensure_server_sync(data, port=0)
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    try:
        handle.close()
        assert until(lambda: not alive(handle.pid))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_acknowledged_rows_survive_a_kill(data):
    """SIGKILL in the middle of inserts, three times; the same URL works again afterwards."""
    handle = ensure_server_sync(data, port=0)
    client = open_client(handle.url)
    client.command("CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
    acknowledged: list[int] = []
    counter = iter(range(10**9))
    lock = threading.Lock()
    stop = threading.Event()

    def insert(mine: Client) -> None:
        while not stop.is_set():
            with lock:
                i = next(counter)
            with contextlib.suppress(Exception):
                mine.raw_insert("kept", insert_block=f'{{"a":{i}}}\n', fmt="JSONEachRow")
                acknowledged.append(i)
        mine.close()

    for _ in range(3):
        stop.clear()
        clients = [open_client(handle.url) for _ in range(8)]
        threads = [threading.Thread(target=insert, args=(mine,)) for mine in clients]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        os.kill(handle.pid, signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
        old = handle
        handle = ensure_server_sync(data, port=0)
        assert handle.pid != old.pid
        assert handle.url == old.url
        old.close()
        stored = [row[0] for row in client.query("SELECT a FROM kept").result_rows]
        assert set(acknowledged) <= set(stored)
        assert len(stored) == len(set(stored))
    assert len(acknowledged) > 50
    client.close()
    handle.close()
    assert until(lambda: not alive(handle.pid))


def test_a_second_owner_is_refused(data):
    with ensure_server_sync(data, port=0) as handle:
        process = subprocess.run(
            [sys.executable, "-m", "babyai_kit", "clickhouse", "--path", str(data)],
            capture_output=True,
            text=True,
        )
        assert process.returncode == EXIT_TAKEN
        assert process.stdout == ""
        assert process.stderr.count("\n") == 1
        assert f"process {handle.pid}" in process.stderr
        assert process.stderr.endswith(f"kill {handle.pid}\n")


def test_started_by_hand_it_is_found_and_stays(data):
    command = [sys.executable, "-m", "babyai_kit", "clickhouse", "--path", str(data), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    line = server.stdout.readline()
    with ensure_server_sync(data) as handle:
        assert handle.pid == server.pid
        assert str(handle.port) in line
        assert urlsplit(handle.url).password not in line
    time.sleep(3.5)
    assert server.poll() is None
    server.terminate()
    assert server.wait(15) == 0
    assert not DataDirectory(data).state_file.exists()


def test_a_taken_port_is_left_alone(data):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with ensure_server_sync(data, port=port) as handle:
            assert handle.port != port
            assert json.loads(DataDirectory(data).state_file.read_text())["port"] == handle.port


class _Stranger(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"instance": "other"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Silence."""


def test_a_stale_state_file_is_ignored(data):
    """A dead server's pid and port belong to others now."""
    data.mkdir()
    directory = DataDirectory(data)
    stranger = http.server.HTTPServer(("127.0.0.1", 0), _Stranger)
    threading.Thread(target=stranger.serve_forever, daemon=True).start()
    write_state(directory, ServerState(os.getpid(), stranger.server_port, "mine", "0", False))
    try:
        with ensure_server_sync(data, port=0) as handle:
            assert handle.pid != os.getpid()
            assert handle.port != stranger.server_port
    finally:
        stranger.shutdown()
        stranger.server_close()
    for text in ("", "{", "[]", '{"pid": 1}'):
        directory.state_file.write_text(text)
        assert read_state(directory) is None


def test_a_server_of_another_version_is_replaced_when_nobody_needs_it(data, monkeypatch):
    first = ensure_server_sync(data, port=0)
    monkeypatch.setattr(launcher, "kit_version", lambda: "99")
    with pytest.raises(StoreError, match=rf"kill {first.pid}$"):
        ensure_server_sync(data, port=0)
    first.close()
    # The new server reports its real version, so this process must expect that one once it runs.
    monkeypatch.setattr(
        launcher, "kit_version", lambda: read_state(DataDirectory(data)).version if replaced() else "99"
    )

    def replaced() -> bool:
        state = read_state(DataDirectory(data))
        return state is not None and state.pid != first.pid

    with ensure_server_sync(data, port=0) as second:
        assert second.pid != first.pid
    assert until(lambda: not alive(first.pid))


def test_secrets_stay_where_they_are(data, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    with ensure_server_sync(data, port=0) as handle:
        directory = DataDirectory(data)
        password = urlsplit(handle.url).password
        assert password is not None
        assert len(password) >= 32
        assert stat.S_IMODE(directory.password_file.stat().st_mode) == 0o600
        assert password not in repr(handle)
        assert password not in directory.state_file.read_text()
        with contextlib.suppress(FileNotFoundError):  # where there is a /proc
            assert b"canary" not in Path(f"/proc/{handle.pid}/environ").read_bytes()
            assert password.encode() not in Path(f"/proc/{handle.pid}/cmdline").read_bytes()
        wrong = handle.url.replace(password, "not-" + password)
        with pytest.raises(StoreError) as caught:
            open_client(wrong)
        assert password not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert password not in directory.log_file.read_text()


def test_an_unusable_directory_is_reported(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match="make the directory writable"):
        ensure_server_sync(file)


def test_a_damaged_directory_is_reported(tmp_path):
    (tmp_path / "clickhouse").write_text("not a directory")
    with pytest.raises(StoreError, match="did not start"):
        ensure_server_sync(tmp_path, port=0)


def test_a_start_that_takes_too_long_is_reported(data):
    with pytest.raises(StoreError, match="did not answer within 0 s"):
        ensure_server_sync(data, port=0, start_timeout_s=0)
    with ensure_server_sync(data, port=0) as handle:  # nothing of it is in the way
        assert alive(handle.pid)


def test_users_stay_free_of_the_engine():
    code = (
        "import sys, babyai_kit.local.clickhouse; sys.exit('chdb' in sys.modules or 'aiohttp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
