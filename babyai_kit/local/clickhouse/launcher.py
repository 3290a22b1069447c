"""Finding or starting the server of a data directory, and holding it while it is used.

Knows processes, locks and the probe; nothing of SQL. Imports neither chDB nor the server: users, the
gateway's process among them, stay free of the engine.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from babyai_kit.configuration.addresses import (
    CLICKHOUSE_DATABASE,
    CLICKHOUSE_USER,
    HOST,
    LOCAL_CLICKHOUSE_PORT,
)
from babyai_kit.errors import StoreError
from babyai_kit.local.clickhouse.state import (
    EXIT_TAKEN,
    Home,
    Lock,
    ServerState,
    kit_version,
    read_password,
    read_state,
    wait_exclusive,
    wait_shared,
)

START_TIMEOUT_S = 60.0
"""A start takes a second, or a few with much data; more on a busy machine."""

_SERVER_ENVIRONMENT = re.compile(
    r"PATH|HOME|LANG|LC_.*|TZ|TMPDIR|VIRTUAL_ENV|CONDA_PREFIX|PYTHON.*|LD_LIBRARY_PATH|DYLD_.*"
)
"""What the server gets of the user's environment. Keys are not among it, and nothing else is needed."""

_STOPPING_S = 30.0
_PROBE_TIMEOUT_S = 5.0


class ServerHandle:
    """A hold on a running local server, which lives at least as long. Give it back with `close()`."""

    def __init__(self, state: ServerState, password: str, lock: Lock) -> None:
        self._state = state
        self._password = password
        self._lock = lock

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1."""
        return self._state.port

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._state.pid

    @property
    def url(self) -> str:
        """URL with user, password and database. Not for logs."""
        return f"http://{CLICKHOUSE_USER}:{self._password}@{HOST}:{self.port}/{CLICKHOUSE_DATABASE}"

    def close(self) -> None:
        """Release the hold; the server ends soon after its last one. May be called twice."""
        self._lock.release()

    def __enter__(self) -> ServerHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ServerHandle port={self.port} pid={self.pid}>"


async def ensure_server(path: str | Path = "data", port: int = LOCAL_CLICKHOUSE_PORT) -> ServerHandle:
    """`ensure_server_sync` for the event loop: the waiting happens in a thread."""
    task = asyncio.ensure_future(asyncio.to_thread(ensure_server_sync, path, port))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # Nobody will close the handle that the thread still brings.
        task.add_done_callback(lambda done: None if done.exception() else done.result().close())
        raise


def ensure_server_sync(path: str | Path = "data", port: int = LOCAL_CLICKHOUSE_PORT) -> ServerHandle:
    """Find the server of directory `path`, or start it, and hold it.

    `port` is a wish for a new server: if it is taken, another is used. Any number of processes may call
    this at once; they share one server. Raises StoreError if no server can be had.
    """
    home = Home.at(path)
    try:
        home.path.mkdir(parents=True, exist_ok=True)
        users = Lock(home.users_lock)
    except OSError as error:
        raise StoreError(
            f"cannot write to {home.path}: {error.strerror}; make the directory writable or run elsewhere",
            kind="store",
        ) from None
    try:
        # Held first: a server that is about to stop for lack of users either sees this or is gone.
        if not wait_shared(users, _STOPPING_S):
            raise StoreError(
                f"the old server of {home.path} does not end; stop it with: kill {_pid(home)}", kind="store"
            )
        password = read_password(home)
        state = _probe(home, password)
        if state is None or state.version != kit_version():
            state = _start(home, port, password, users)
        return ServerHandle(state, password, users)
    except OSError as error:
        users.release()
        raise StoreError(
            f"cannot use {home.path}: {error.strerror}; see that its files are yours", kind="store"
        ) from None
    except BaseException:
        users.release()
        raise


def _start(home: Home, port: int, password: str, users: Lock) -> ServerState:
    """Start a server, or wait for the one that another process is starting."""
    deadline = time.monotonic() + START_TIMEOUT_S
    start = Lock(home.start_lock)
    child: subprocess.Popen[bytes] | None = None
    try:
        if not wait_exclusive(start, START_TIMEOUT_S):
            raise StoreError(
                f"another process has been starting a server for {home.path} too long; end it and try again",
                kind="store",
            )
        state = _probe(home, password)
        if state is not None and state.version != kit_version():
            _replace(home, state, password, users)
            state = None
        while state is None:
            if child is None:
                child = _spawn(home, port)
            status = child.poll()
            if status is not None:
                child = None
                if status != EXIT_TAKEN:
                    raise StoreError(
                        f"the local ClickHouse did not start; see {home.log_file}: "
                        f"{_last_line(home.log_file)}",
                        kind="store",
                    )
            if time.monotonic() > deadline:
                raise StoreError(
                    f"the local ClickHouse did not answer within {START_TIMEOUT_S:.0f} s; "
                    f"see {home.log_file}, or stop process {_pid(home)}",
                    kind="store",
                )
            time.sleep(0.05 if child is not None else 0.3)
            state = _probe(home, password)
        if child is not None:
            # So that the server leaves no zombie if it ends before this process.
            threading.Thread(target=child.wait, daemon=True, name="clickhouse-reaper").start()
        return state
    except BaseException:
        if child is not None:
            child.terminate()
        raise
    finally:
        start.release()


def _spawn(home: Home, port: int) -> subprocess.Popen[bytes]:
    """A server in a session of its own, so that Ctrl-C in the user's terminal does not reach it."""
    with open(home.log_file, "ab") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "babyai_kit.local.clickhouse",
                "--path",
                str(home.path),
                "--port",
                str(port),
                "--spawned",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if _SERVER_ENVIRONMENT.fullmatch(name)},
            start_new_session=True,
            close_fds=True,
        )


def _probe(home: Home, password: str) -> ServerState | None:
    """The state on disk if that very server answers; None if there is none, or something else answers."""
    state = read_state(home)
    if state is None:
        return None
    answer = _ask(state, password, "GET", "/_kit")
    if answer is None or answer.get("instance") != state.instance:
        return None
    return state


def _ask(state: ServerState, password: str, method: str, path: str) -> dict[str, object] | None:
    token = base64.b64encode(f"{CLICKHOUSE_USER}:{password}".encode()).decode()
    connection = http.client.HTTPConnection(HOST, state.port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request(method, path, headers={"Authorization": f"Basic {token}"})
        response = connection.getresponse()
        body = response.read(65536)
        if response.status != 200:
            return None
        found = json.loads(body) if body.startswith(b"{") else {}
        return found if isinstance(found, dict) else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def _replace(home: Home, state: ServerState, password: str, users: Lock) -> None:
    """End the server of another version of the kit, if nobody else needs it."""
    remedy = f"stop it with: kill {state.pid}"
    if state.by_hand:
        raise StoreError(
            f"process {state.pid} serves {home.path} for kit version {state.version or '?'}; {remedy}",
            kind="store",
        )
    users.unlock()
    alone = users.try_exclusive()
    if alone:
        _ask(state, password, "POST", "/_kit/stop")
    if not wait_shared(users, _STOPPING_S) or not alone:
        raise StoreError(
            f"other processes use the server of kit version {state.version or '?'} on {home.path}; "
            f"end them, or {remedy}",
            kind="store",
        )
    deadline = time.monotonic() + _STOPPING_S
    while _probe(home, password) is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def _pid(home: Home) -> str:
    with contextlib.suppress(OSError):
        return home.owner_lock.read_text().strip() or "?"
    return "?"


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").strip().splitlines()
        if lines:
            return lines[-1][:300]
    return "no reason given"
