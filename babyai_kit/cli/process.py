"""A command as a whole process, and how it ends.

An interrupt gives one line, output that nobody reads on gives silence, and a traceback shows no secret.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, TextIO

from babyai_kit.configuration.secrets import redacted

INTERRUPTED, UNREAD = 130, 141
"""Exit codes, as shells have them for SIGINT and SIGPIPE."""

INTERRUPTED_LINE = "interrupted; the same command continues where this one stopped"


def run(main: Callable[[], int]) -> NoReturn:
    """Run `main` and end the process with the code that it returns."""
    # A job scheduler's signal before it kills: as clean an end as Ctrl-C's.
    signal.signal(signal.SIGTERM, _like_ctrl_c)
    _redact_tracebacks()
    for stream in _outputs():
        # Text from servers may not be encodable in an old terminal.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    try:
        code = main()
    except SystemExit as stop:  # argparse's way
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:
        code = _after(error)
    code = _flush(code)
    # Everything is flushed and closed; the gateway's threads can still crash an interpreter that unwinds.
    os._exit(code)


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    # An event loop has its own answer to Ctrl-C.
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt


def _after(error: BaseException) -> int:
    """Say what ended the command; returns its exit code."""
    if _is_interrupt(error):
        print(INTERRUPTED_LINE, file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError) and any(map(_unread, _outputs())):
        return UNREAD
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        return _not_written(error)
    sys.excepthook(type(error), error, error.__traceback__)
    return 1


def _is_interrupt(error: BaseException | None) -> bool:
    """True also for an error that an interrupt in the middle of an import turned into."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _outputs() -> list[TextIO]:
    """Standard output and error, as far as they are open."""
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None]


def _unread(stream: TextIO) -> bool:
    """True if `stream` is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _flush(code: int) -> int:
    """Write what is left; returns the exit code."""
    try:
        for stream in _outputs():
            stream.flush()
    except BrokenPipeError:
        return code or UNREAD
    except OSError as error:
        return _not_written(error)
    return code


def _not_written(error: OSError) -> int:
    with contextlib.suppress(OSError):
        print(f"error: cannot write the output ({error.strerror}); write it elsewhere", file=sys.stderr)
    return 1


def _redact_tracebacks() -> None:
    """Let no traceback or log line of this process show a secret, whoever prints it."""

    def show(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
        if sys.stderr is not None:
            sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))

    def show_ignored(args: sys.UnraisableHookArgs) -> None:
        if isinstance(args.exc_value, KeyboardInterrupt):
            # It came where nothing can be unwound, and would be lost.
            print(INTERRUPTED_LINE, file=sys.stderr, flush=True)
            os._exit(INTERRUPTED)
        show(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = show
    sys.unraisablehook = show_ignored
    threading.excepthook = lambda args: show(args.exc_type, args.exc_value, args.exc_traceback)
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting())
    logging.getLogger().addHandler(handler)


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))
