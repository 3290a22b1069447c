"""The third wall: the kernel keeps the server process inside its data directory (Linux, Landlock).

It covers what nobody thought of: whatever SQL makes the engine do, it can read only the program and its
libraries, write only the data directory, run no program and open no TCP connection. Needs no privilege. Where
the kernel has no Landlock (before Linux 5.13, other systems) the other walls stand alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import babyai_kit

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_PR_SET_NO_NEW_PRIVS = 38
_RULE_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TRUNCATE = 1 << 14
_EXECUTE = 1 << 0
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15
_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many file system rights each version of Landlock knows."""

_SYSTEM_FILES = (
    "/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg", "/proc/uptime",
    "/proc/vmstat", "/proc/diskstats", "/proc/sys", "/proc/net", "/proc/filesystems", "/sys", "/dev/null",
    "/dev/urandom", "/dev/random", "/dev/zero", "/lib", "/lib64", "/usr/lib", "/usr/lib64",
    "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/nsswitch.conf",
    "/etc/hosts", "/etc/host.conf",
)  # fmt: skip
"""What engine and interpreter look at. Not /proc as a whole: other processes' environments hold keys."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def confine(writable: Iterable[Path]) -> bool:
    """Confine this process, for good, to writing below `writable`; True if the kernel does.

    Must be called before the process has a second thread: threads of before stay free.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if abi < 1:
        return False
    every = (1 << _RIGHTS_BY_ABI.get(abi, 16)) - 1
    ruleset = _Ruleset(fs=every, net=0b11 if abi >= 4 else 0, scoped=0b01 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    handle = libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if handle < 0:
        return False
    try:
        for path in writable:
            _allow(libc, handle, path, every & ~(_EXECUTE | _MAKE_DEVICES))
        for path in [*_program_folders(), *map(Path, _SYSTEM_FILES)]:
            _allow(libc, handle, path, _READ_FILE | _READ_DIR)
        _allow(libc, handle, Path("/dev/null"), every & (_READ_FILE | _WRITE_FILE | _TRUNCATE))
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return libc.syscall(_RESTRICT_SELF, handle, ctypes.c_uint32(0)) == 0
    finally:
        os.close(handle)


def _program_folders() -> set[Path]:
    """Folders of the interpreter's libraries, of the installed packages and of the kit."""
    paths = sysconfig.get_paths()
    folders = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {Path(sys.base_prefix) / "lib", Path(babyai_kit.__file__).resolve().parent}
    # Packages may be elsewhere (user site, Debian's dist-packages), but not in the working directory.
    package_folders = ("site-packages", "dist-packages", "lib-dynload")
    folders |= {Path(path) for path in sys.path if Path(path).name in package_folders}
    for name in ("chdb", "numpy", "pandas", "pyarrow"):
        # Some installers put links into site-packages.
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            folders.add(Path(spec.origin).resolve().parents[1])
    return folders


def _allow(libc: ctypes.CDLL, handle: int, path: Path, rights: int) -> None:
    with contextlib.suppress(OSError):
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not path.is_dir():
                rights &= _FILE_RIGHTS
            rule = _PathBeneath(allowed=rights, parent=target)
            libc.syscall(_ADD_RULE, handle, _RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
        finally:
            os.close(target)
