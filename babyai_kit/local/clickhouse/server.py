"""The server process: owns a data directory, serves it, and stops after its last user.

The engine is imported here, late: once the directory is ours and the kernel's sandbox is up.
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
from babyai_kit.configuration.project import PROJECT_DATA, StrPath
from babyai_kit.local.clickhouse.data_directory import (
    EXIT_TAKEN,
    DataDirectory,
    ServerState,
    kit_version,
    read_password,
    read_state,
    write_state,
)
from babyai_kit.local.clickhouse.engine_config import write_config
from babyai_kit.local.clickhouse.locks import Lock
from babyai_kit.local.clickhouse.sandbox import confine

_POLL_S = 0.25
_STOP_TIMEOUT_S = 5.0
"""For requests under way, whose queries are then ended, and then for the engine."""


def serve(
    path: StrPath = PROJECT_DATA, port: int = LOCAL_CLICKHOUSE_PORT, *, by_hand: bool, grace_s: float = 2.0
) -> int:
    """Serve the ClickHouse of directory `path` on 127.0.0.1 until told to stop; return an exit status.

    `port` is taken if free, else any free one; the state file in `path` tells which. `by_hand`: a person
    started it, so it does not stop after its last user. `grace_s`: how long it waits for its first user, and
    outlives its last one. Returns 0 after a clean stop, EXIT_TAKEN if another process serves `path`, 1 if it
    cannot be served; says why in one line on stderr.
    """
    directory = DataDirectory(path)
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        owner = Lock(directory.owner_lock)
    except OSError as error:
        return _fail(
            1, f"cannot use {directory.path}: {error.strerror}; choose another directory with --path"
        )
    # A predecessor that is stopping needs a moment.
    if not owner.wait_exclusive(0.0 if by_hand else 1.0):
        return _fail(EXIT_TAKEN, _taken_message(directory))
    os.umask(0o077)
    owner.write(f"{os.getpid()}\n")
    try:
        return asyncio.run(_run(directory, port, by_hand=by_hand, grace_s=grace_s))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        reason = " ".join(str(error).split(", Stack trace")[0].split())
        remedy = "check that the disk has space and that you own the files"
        return _fail(1, f"cannot serve {directory.path}: {reason}; {remedy}")
    finally:
        owner.release()


def _taken_message(directory: DataDirectory) -> str:
    pid = directory.server_pid()
    if pid is None:
        return f"another process already serves {directory.path}; use that server, or stop it"
    state = read_state(directory)
    where = f" on port {state.port}" if state and state.pid == pid else ""
    return (
        f"process {pid} already serves {directory.path}{where}; use that server, or stop it with: kill {pid}"
    )


def _fail(status: int, message: str) -> int:
    print(message, file=sys.stderr, flush=True)
    return status


async def _run(directory: DataDirectory, port: int, *, by_hand: bool, grace_s: float) -> int:
    users = Lock(directory.users_lock)
    password = read_password(directory)
    listener = _listen(directory, port)
    _prepare_directories(directory)
    _raise_file_limit()
    memory_bytes = _memory_bytes()
    config = write_config(directory.config_dir, memory_bytes=memory_bytes)
    from aiohttp import web

    # It would log every malformed request, with its headers.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    version = kit_version()
    # Imports read files all over the place, the engine starts threads: in between is the moment.
    confine(writable=[directory.path])

    from babyai_kit.local.clickhouse.engine import Engine
    from babyai_kit.local.clickhouse.http_interface import HttpInterface

    engine = Engine(directory.engine_dir, config, directory.spool_dir, memory_bytes=memory_bytes)
    await engine.start(CLICKHOUSE_DATABASE)
    state = ServerState(
        pid=os.getpid(),
        port=listener.getsockname()[1],
        instance=secrets.token_hex(16),
        version=version,
        by_hand=by_hand,
    )
    interface = HttpInterface(engine, state, password, directory.spool_dir)
    runner = web.AppRunner(
        interface.application,
        handle_signals=False,
        access_log=None,
        auto_decompress=False,
        # A query ends with its client.
        handler_cancellation=True,
        # aiohttp waits that long twice, and then cancels the handlers.
        shutdown_timeout=_STOP_TIMEOUT_S / 2,
    )
    await runner.setup()
    try:
        async with interface.connections.listen(runner, sock=listener):
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, interface.stop_requested.set)
            write_state(directory, state)
            if by_hand:
                print(
                    f"ClickHouse over chDB on http://{HOST}:{state.port}, user {CLICKHOUSE_USER}, "
                    f"password in {directory.password_file}; Ctrl-C stops it",
                    flush=True,
                )
                await interface.stop_requested.wait()
            else:
                await _wait_for_end(users, interface.stop_requested, grace_s)
    finally:
        directory.state_file.unlink(missing_ok=True)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(runner.cleanup(), _STOP_TIMEOUT_S + 1)
        try:
            await asyncio.wait_for(engine.close(), _STOP_TIMEOUT_S)
        except asyncio.TimeoutError:
            # A query that does not end. What was acknowledged is on disk.
            os._exit(0)
        shutil.rmtree(directory.spool_dir, ignore_errors=True)
    return 0


def _listen(directory: DataDirectory, port: int) -> socket.socket:
    """The port of a predecessor that died (its users still connect to it), the one asked for, or any."""
    predecessor = read_state(directory)
    ports = [predecessor.port] if predecessor else []
    for candidate in [*ports, port, 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(512)
            return listener
        except OSError:
            listener.close()
    raise OSError("no port is free on 127.0.0.1")


def _prepare_directories(directory: DataDirectory) -> None:
    shutil.rmtree(directory.spool_dir, ignore_errors=True)
    directory.spool_dir.mkdir(mode=0o700)
    directory.engine_dir.mkdir(mode=0o700, exist_ok=True)
    # The engine makes itself a temporary directory, and would leave it behind if it is killed.
    os.environ["TMPDIR"] = str(directory.spool_dir)
    # chDB looks for a config.xml in the working directory.
    os.chdir(directory.engine_dir)


async def _wait_for_end(users: Lock, stop_requested: asyncio.Event, grace_s: float) -> None:
    """Return when asked to stop or when no user is left; then `users` is held until the process ends."""
    idle_s = 0.0
    while not stop_requested.is_set():
        await asyncio.sleep(_POLL_S)
        if not users.try_exclusive():
            idle_s = 0.0
        elif idle_s < grace_s:
            users.unlock()
            idle_s += _POLL_S
        else:
            return


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)
    if soft < limit:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _memory_bytes() -> int:
    """The machine's memory, or less where a container allows less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total
