"""Starts a broker so that it ends with this process, and terminates an orphaned one.

A process is signalled only after its command line shows that it is the server of this data directory: a pid from a file
may belong to another process by now.
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
"""On Windows, a process group of its own shields the server from the terminal's Ctrl-C; elsewhere a session does."""

_LINUX = sys.platform == "linux"

_PR_SET_PDEATHSIG = 1
_LAUNCHER = f"""
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, int(signal.SIGTERM))
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started the broker is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Requests SIGTERM from Linux for when the parent ends, checks that the parent still exists, and execs the server.

A script of its own instead of a `preexec_fn`, which may deadlock in a program with threads.
"""


def command(binary: Path, config: Path) -> list[str]:
    """Return the command that starts the server. On Linux it ends with the thread that starts it: use a lasting one."""
    server = [str(binary), "-c", str(config)]
    if not _LINUX:
        return server
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *server]


def find_orphan(directory: DataDir) -> int | None:
    """Return the pid of a server that still runs on the directory, or None. On Windows always None: costly to find."""
    record = directory.read_record()
    pids = [_read_pid(directory.pid_file), record.pid if record else None]
    return next((pid for pid in pids if pid is not None and _is_server_of(pid, directory)), None)


def has_ended(pid: int, directory: DataDir) -> bool:
    """Return whether the server of the directory with this pid has ended for certain: something else may listen there.

    On Windows, and where the system does not tell what a process is, never.
    """
    if os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError, OverflowError):
        return True
    return bool(_command_line(pid)) and not _is_server_of(pid, directory)


async def terminate(pid: int, directory: DataDir, timeout_s: float) -> bool:
    """Terminate a server, after `timeout_s` by force; return False if it still runs another `timeout_s` later."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                while _is_server_of(pid, directory):  # noqa: ASYNC110 - not our child, so polling is all there is
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
    """Whether the process is a nats-server with this directory's configuration; a zombie is not, it uses no files."""
    arguments = _command_line(pid)
    return bool(arguments) and "nats-server" in Path(arguments[0]).name and str(directory.config) in arguments[1:]


def _command_line(pid: int) -> list[str]:
    """Return the process's arguments; empty if there is no such process or the system does not tell them."""
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
