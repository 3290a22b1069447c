"""The server process: owns a data directory, serves it, and ends with its last user.

Knows the life of the process: locks, port, signals, start and stop. What is served is `app`'s. The
engine is imported here, late, when the directory is ours and the kernel's sandbox is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path

from babyai_kit.configuration.addresses import (
    CLICKHOUSE_DATABASE,
    CLICKHOUSE_USER,
    HOST,
    LOCAL_CLICKHOUSE_PORT,
)
from babyai_kit.local.clickhouse.sandbox import confine
from babyai_kit.local.clickhouse.state import (
    EXIT_TAKEN,
    Home,
    Lock,
    ServerState,
    kit_version,
    read_password,
    read_state,
    wait_exclusive,
    write_state,
)

GRACE_S = 2.0
"""How long the server outlives its last user, and waits for its first."""

WATCH_S = 0.25

MAX_CONNECTIONS = 2000
STOP_TIMEOUT_S = 5.0
"""For requests under way, and then for the engine."""


def serve(path: str | Path = "data", port: int = LOCAL_CLICKHOUSE_PORT, *, by_hand: bool) -> int:
    """Serve the ClickHouse of directory `path` on 127.0.0.1 until told to stop; return an exit status.

    `port` is taken if free, else any free one; the state file in `path` tells which. `by_hand`: a person
    started it, so it does not stop with its last user. Returns 0 after a clean stop, EXIT_TAKEN if another
    process serves `path`, 1 if it cannot be served; says why in one line on stderr.
    """
    home = Home.at(path)
    try:
        home.path.mkdir(parents=True, exist_ok=True)
        owner = Lock(home.owner_lock)
    except OSError as error:
        return _refuse(1, f"cannot use {home.path}: {error.strerror}; choose another directory with --path")
    # A predecessor that is stopping needs a moment.
    if not wait_exclusive(owner, 0.0 if by_hand else 1.0):
        return _refuse(EXIT_TAKEN, _taken(home))
    os.umask(0o077)
    owner.note(f"{os.getpid()}\n")
    try:
        return asyncio.run(_Server(home, port, by_hand).run())
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        text = " ".join(str(error).split(", Stack trace")[0].split())
        return _refuse(
            1,
            f"cannot serve {home.path}: {text}; see that the disk has room and the files are yours",
        )
    finally:
        owner.release()


def _taken(home: Home) -> str:
    state = read_state(home)
    with contextlib.suppress(OSError, ValueError):
        pid = int(home.owner_lock.read_text())
        where = f" on port {state.port}" if state and state.pid == pid else ""
        return f"process {pid} serves {home.path} already{where}; use that one, or stop it with: kill {pid}"
    return f"another process serves {home.path} already; use that one, or stop it"


def _refuse(status: int, message: str) -> int:
    print(message, file=sys.stderr, flush=True)
    return status


class _Server:
    def __init__(self, home: Home, port: int, by_hand: bool) -> None:
        self._home = home
        self._port = port
        self._by_hand = by_hand
        self._users = Lock(home.users_lock)
        self._stop = asyncio.Event()

    async def run(self) -> int:
        home = self._home
        password = read_password(home)
        listener = self._listen()
        left_over = home.spool_dir
        shutil.rmtree(left_over, ignore_errors=True)
        left_over.mkdir(mode=0o700)
        home.engine_dir.mkdir(mode=0o700, exist_ok=True)
        _raise_file_limit()
        # The engine makes itself a temporary directory, and would leave it behind if it is killed.
        os.environ["TMPDIR"] = str(home.spool_dir)
        # chDB looks for a config.xml in the working directory.
        os.chdir(home.engine_dir)
        from babyai_kit.local.clickhouse.engine_config import write_config

        config = write_config(home.config_dir, max_query_bytes=_memory_bytes() // 2)
        from aiohttp import web

        # It would log every malformed request, with its headers.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        # Imports read files all over the place, the engine starts threads: in between is the moment.
        confine(writable=[home.path])

        from babyai_kit.local.clickhouse.app import App
        from babyai_kit.local.clickhouse.engine import Engine

        engine = Engine(home.engine_dir, config, home.spool_dir)
        await engine.start(CLICKHOUSE_DATABASE)
        state = ServerState(
            os.getpid(), listener.getsockname()[1], secrets.token_hex(16), kit_version(), self._by_hand
        )
        app = App(engine, state, password, home.spool_dir)
        runner = web.AppRunner(
            app.build(),
            handle_signals=False,
            access_log=None,
            auto_decompress=False,
            shutdown_timeout=STOP_TIMEOUT_S,
        )
        await runner.setup()
        accept = await self._accept(runner, listener)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        write_state(home, state)
        if self._by_hand:
            print(
                f"ClickHouse over chDB on http://{HOST}:{state.port}, user {CLICKHOUSE_USER}, "
                f"password in {home.password_file}; Ctrl-C stops it",
                flush=True,
            )
        watch = asyncio.create_task(self._watch(app.stop))
        try:
            await watch
        finally:
            accept.close()
            with contextlib.suppress(FileNotFoundError):
                home.state_file.unlink()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(runner.cleanup(), STOP_TIMEOUT_S + 1)
            try:
                await asyncio.wait_for(engine.close(), STOP_TIMEOUT_S)
            except asyncio.TimeoutError:
                # A query that does not end. What was acknowledged is on disk.
                os._exit(0)
            shutil.rmtree(home.spool_dir, ignore_errors=True)
        return 0

    def _listen(self) -> socket.socket:
        """The port of a predecessor that died (its users still knock there), the one asked for, or any."""
        before = read_state(self._home)
        for port in dict.fromkeys([*([before.port] if before else []), self._port, 0]):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
                listener.listen(512)
                return listener
            except OSError:
                listener.close()
        raise OSError("no port is free on 127.0.0.1")

    async def _accept(self, runner, listener: socket.socket) -> asyncio.Server:  # type: ignore[no-untyped-def]
        server = runner.server
        limit = min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

        def protocol() -> asyncio.BaseProtocol:
            return _TurnedAway() if len(server.connections) >= limit else server()

        return await asyncio.get_running_loop().create_server(protocol, sock=listener, backlog=512)

    async def _watch(self, asked_to_stop: asyncio.Event) -> None:
        """Return when the server shall end. Ending for lack of users, it holds the users' lock to its end."""
        idle_s = 0.0
        while not (self._stop.is_set() or asked_to_stop.is_set()):
            await asyncio.sleep(WATCH_S)
            if self._by_hand:
                continue
            if not self._users.try_exclusive():
                idle_s = 0.0
            elif idle_s < GRACE_S:
                self._users.unlock()
                idle_s += WATCH_S
            else:
                return


class _TurnedAway(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
        transport.close()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _memory_bytes() -> int:
    """The machine's memory, or less where a container allows less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total
