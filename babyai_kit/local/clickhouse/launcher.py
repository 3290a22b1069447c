"""Finds or starts the server of a data directory, and holds it while it is used.

Users, the gateway's process among them, stay free of the engine: it is in the server's process alone.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from babyai_kit.configuration.addresses import (
    CLICKHOUSE_DATABASE,
    CLICKHOUSE_USER,
    HOST,
    LOCAL_CLICKHOUSE_PORT,
)
from babyai_kit.configuration.project import PROJECT_DATA, StrPath
from babyai_kit.errors import StoreError
from babyai_kit.local.clickhouse.data_directory import (
    EXIT_TAKEN,
    DataDirectory,
    ServerState,
    kit_version,
    read_password,
    read_state,
)
from babyai_kit.local.clickhouse.locks import Lock

_SERVER_ENVIRONMENT = re.compile(
    r"PATH|HOME|LANG|LC_.*|TZ|TMPDIR|VIRTUAL_ENV|CONDA_PREFIX|PYTHON.*|LD_LIBRARY_PATH|DYLD_.*"
)
"""What the server gets of the user's environment. Keys are not among it, and nothing else is needed."""

_STOP_TIMEOUT_S = 30.0
_PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True, eq=False)
class ServerHandle:
    """A hold on a running local server, which lives at least as long. Give it back with `close()`."""

    port: int
    """TCP port on 127.0.0.1."""
    pid: int
    """Process id of the server."""
    url: str = field(repr=False)
    """URL with user, password and database. Not for logs."""
    lock: Lock = field(repr=False)
    """The users' lock of its data directory, held."""

    def close(self) -> None:
        """Release the hold; the server ends soon after its last one. May be called twice."""
        self.lock.release()

    def __enter__(self) -> ServerHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


async def ensure_server(
    path: StrPath = PROJECT_DATA, port: int = LOCAL_CLICKHOUSE_PORT, *, start_timeout_s: float = 60.0
) -> ServerHandle:
    """`ensure_server_sync` for the event loop: the waiting happens in a thread."""
    call = asyncio.to_thread(ensure_server_sync, path, port, start_timeout_s=start_timeout_s)
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # Nobody will close the handle that the thread still brings.
        task.add_done_callback(_close_result)
        raise


def _close_result(task: asyncio.Future[ServerHandle]) -> None:
    # An event loop that ends cancels the task too; the process then ends with its holds.
    if not task.cancelled() and not task.exception():
        task.result().close()


def ensure_server_sync(
    path: StrPath = PROJECT_DATA, port: int = LOCAL_CLICKHOUSE_PORT, *, start_timeout_s: float = 60.0
) -> ServerHandle:
    """Find the server of directory `path`, or start it, and hold it.

    `port` is a wish for a new server: if it is taken, another is used. Any number of processes may call
    this at once; they share one server. A start takes a second, or a few with much data, and more on a busy
    machine; after `start_timeout_s` it has failed. Raises StoreError if there is no server then.
    """
    directory = DataDirectory(path)
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        users = Lock(directory.users_lock)
    except OSError as error:
        raise _store_error(
            f"cannot write to {directory.path}: {error.strerror}; "
            "make the directory writable or run elsewhere"
        ) from None
    try:
        # Held first: a server that is about to stop for lack of users either sees this or is gone.
        if not users.wait_shared(_STOP_TIMEOUT_S):
            raise _store_error(
                f"the old server of {directory.path} does not stop; run: kill {_pid(directory)}"
            )
        password = read_password(directory)
        state = _running_server(directory, password)
        if state is None or state.version != kit_version():
            state = _start(directory, port, password, users, start_timeout_s)
        url = f"http://{CLICKHOUSE_USER}:{password}@{HOST}:{state.port}/{CLICKHOUSE_DATABASE}"
        return ServerHandle(state.port, state.pid, url, users)
    except OSError as error:
        users.release()
        raise _store_error(
            f"cannot use {directory.path}: {error.strerror}; check that you own its files"
        ) from None
    except BaseException:
        users.release()
        raise


def _start(directory: DataDirectory, port: int, password: str, users: Lock, timeout_s: float) -> ServerState:
    """Start a server, or wait for the one that another process is starting."""
    deadline = time.monotonic() + timeout_s
    start_lock = Lock(directory.start_lock)
    try:
        if not start_lock.wait_exclusive(timeout_s):
            raise _store_error(
                f"another process has been starting a server for {directory.path} for {timeout_s:.0f} s; "
                "end it and try again"
            )
        state = _running_server(directory, password)
        if state is not None and state.version != kit_version():
            _stop_other_version(directory, state, password, users)
            state = None
        return state or _spawn_and_wait(directory, port, password, deadline, timeout_s)
    finally:
        start_lock.release()


def _spawn_and_wait(
    directory: DataDirectory, port: int, password: str, deadline: float, timeout_s: float
) -> ServerState:
    child: subprocess.Popen[bytes] | None = None
    try:
        while True:
            if child is None:
                child = _spawn(directory, port)
            if (status := child.poll()) is not None:
                child = None
                if status != EXIT_TAKEN:
                    reason = _last_line(directory.log_file)
                    raise _store_error(
                        f"the local ClickHouse did not start: {reason}; see {directory.log_file}"
                    )
            if time.monotonic() > deadline:
                raise _store_error(
                    f"the local ClickHouse did not answer within {timeout_s:.0f} s; "
                    f"see {directory.log_file}, or stop it with: kill {_pid(directory)}"
                )
            time.sleep(0.05 if child is not None else 0.3)
            state = _running_server(directory, password)
            if state is not None:
                break
    except BaseException:
        if child is not None:
            child.terminate()
        raise
    if child is not None:
        # So that the server leaves no zombie if it ends before this process.
        threading.Thread(target=child.wait, daemon=True, name="clickhouse-reaper").start()
    return state


def _spawn(directory: DataDirectory, port: int) -> subprocess.Popen[bytes]:
    """A server in a session of its own, so that Ctrl-C in the user's terminal does not reach it."""
    command = [sys.executable, "-m", "babyai_kit.local.clickhouse"]
    with open(directory.log_file, "ab") as log:
        return subprocess.Popen(
            [*command, "--path", str(directory.path), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if _SERVER_ENVIRONMENT.fullmatch(name)},
            start_new_session=True,
        )


def _running_server(directory: DataDirectory, password: str) -> ServerState | None:
    """The state on disk if that very server answers; None if there is none, or something else answers."""
    state = read_state(directory)
    if state is None:
        return None
    identity = _request(state, password, "GET", "/_kit")
    return state if identity.get("instance") == state.instance else None


def _request(state: ServerState, password: str, method: str, path: str) -> dict[str, object]:
    """The JSON object that the server of `state` answers with; empty if it answers with none."""
    connection = http.client.HTTPConnection(HOST, state.port, timeout=_PROBE_TIMEOUT_S)
    headers = {"X-ClickHouse-User": CLICKHOUSE_USER, "X-ClickHouse-Key": password}
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        answer = json.loads(response.read(65536)) if response.status == 200 else {}
        return answer if isinstance(answer, dict) else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()


def _stop_other_version(directory: DataDirectory, state: ServerState, password: str, users: Lock) -> None:
    """Stop the server of another version of the kit, if nobody else uses it."""
    version = state.version or "unknown"
    if state.by_hand:
        raise _store_error(
            f"process {state.pid} serves {directory.path} for kit version {version}; "
            f"stop it with: kill {state.pid}"
        )
    users.unlock()
    alone = users.try_exclusive()
    if alone:
        _request(state, password, "POST", "/_kit/stop")
    if not users.wait_shared(_STOP_TIMEOUT_S) or not alone:
        raise _store_error(
            f"other processes use the server of kit version {version} on {directory.path}; "
            f"end them, or stop it with: kill {state.pid}"
        )
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while _running_server(directory, password) is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def _store_error(message: str) -> StoreError:
    return StoreError(message, kind="store")


def _pid(directory: DataDirectory) -> str:
    return str(directory.server_pid() or "PID")


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][:300] if lines else "no reason given"
