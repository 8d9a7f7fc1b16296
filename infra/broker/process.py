"""Tying a broker's life to ours, and ending one that was left behind.

A process is only ever signalled after its command line has shown that it is the server of this data directory: a pid
from a file may long belong to something else.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from infra.broker.data_dir import DataDir

POLL_INTERVAL_S = 0.02
PS_TIMEOUT_S = 5.0

CREATION_FLAGS: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""On Windows a group of its own keeps the terminal's Ctrl-C away from the server; elsewhere a session does."""

_LINUX = sys.platform == "linux"

_PR_SET_PDEATHSIG = 1
_TETHER = f"""
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, int(signal.SIGTERM))
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started the broker is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks Linux for SIGTERM when the parent ends, makes sure it had not ended before, and becomes the server.

A process of its own rather than a `preexec_fn`, which may deadlock in a program that has threads.
"""


def command(binary: Path, config: Path) -> list[str]:
    """How the server is started. On Linux it ends with the thread that started it, so start it from a lasting one."""
    server = [str(binary), "-c", str(config)]
    if not _LINUX:
        return server
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), *server]


def leftover(directory: DataDir) -> int | None:
    """The pid of a server that still runs on the directory, or None. Always None on Windows, which has no cheap way."""
    record = directory.read_record()
    pids = [_read_pid(directory.pid_file), record.pid if record else None]
    return next((pid for pid in pids if pid is not None and _is_server_of(pid, directory)), None)


async def end(pid: int, directory: DataDir, timeout_s: float) -> bool:
    """Ask a leftover server to end, after `timeout_s` force it to; False if it still runs another `timeout_s` later."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                while _is_server_of(pid, directory):  # noqa: ASYNC110 - not our child, so nothing tells us
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            continue
        return True
    return False


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _is_server_of(pid: int, directory: DataDir) -> bool:
    """Whether the process is a nats-server with this directory's configuration. A zombie is not: it holds nothing."""
    arguments = _command_line(pid)
    return bool(arguments) and "nats-server" in Path(arguments[0]).name and str(directory.config) in arguments[1:]


def _command_line(pid: int) -> list[str]:
    """The process's arguments; empty if there is no such process or the system does not say."""
    if _LINUX:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
        except OSError:
            return []
    if os.name == "nt":
        return []
    listing = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PS_TIMEOUT_S,
    )
    binary, separator, config = listing.stdout.strip().partition(" -c ")
    return [binary, config] if separator else []
