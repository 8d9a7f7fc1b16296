"""The git worktree probe: unresolved merge conflicts in a task's worktree show that its holder is at work.

A worktree's own configuration and attributes can make git run programs: the file-system monitor, hooks, and, as soon
as `git status` compares a file's content, the filters that it names. The index lists the paths in conflict, so nothing
but the index is read, in a clean environment, without optional locks and without a way to fetch.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from domain.policies.probes import conflicted_paths
from domain.subjects import subject_token
from domain.values import filled

if TYPE_CHECKING:
    from domain.task import Lease, Task
    from infra.settings.settings import Settings

_LOG = logging.getLogger(__name__)
MAX_AT_ONCE = 4
MAX_EVIDENCE = 20
MAX_OUTPUT_BYTES = 256 * 1024
"""An index can list millions of conflicts; this much of them is proof enough."""
_COMMAND = (
    "git",
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "ls-files",
    "--unmerged",
    "--full-name",
    "-z",
    "--",
    ":/",
)
_STATES = {"123": "UU", "23": "AA", "1": "DD", "13": "DU", "12": "UD", "2": "AU", "3": "UA"}
"""Stages of an unmerged path (1 the base's, 2 ours, 3 theirs) -> the state in which `git status` shows it."""


class GitWorktreeProbe:
    """Looks for unresolved merge conflicts in the worktree that a template names, on this host."""

    name = "git_worktree"

    def __init__(self, template: str, timeout_s: float) -> None:
        self._template = template
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    @classmethod
    def from_settings(cls, settings: Settings) -> GitWorktreeProbe | None:
        """Return the probe if the settings enable it, else None."""
        if not settings.worktree_probe_enabled or settings.worktree_template is None:
            return None
        return cls(settings.worktree_template, settings.worktree_probe_timeout_s)

    def worktree(self, task: Task, lease: Lease) -> Path:
        """Return the path where the task's worktree is expected."""
        token = subject_token(task.task_id)
        return Path(filled(self._template, task_id=token, agent_id=lease.agent_id, attempt=lease.attempt))

    async def evidence(self, task: Task, lease: Lease) -> tuple[str, ...]:
        """Return the paths in conflict; empty when there are none, no worktree, or no answer in time."""
        worktree = self.worktree(task, lease)
        if not worktree.is_dir():
            return ()
        try:
            async with self._slots, asyncio.timeout(self._timeout_s):
                output = await _unmerged(worktree)
        except TimeoutError:
            _LOG.warning("looking at the worktree of task %s took over %g s", task.task_id, self._timeout_s)
            return ()
        except OSError as error:
            _LOG.warning("could not look at the worktree of task %s: %s", task.task_id, error)
            return ()
        return conflicted_paths(_as_status(output))[:MAX_EVIDENCE]


async def _unmerged(worktree: Path) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        cwd=worktree,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "",
        },
    )
    try:
        output, whole = await _read(process.stdout)
        if whole:
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output


async def _read(stream: asyncio.StreamReader | None) -> tuple[bytes, bool]:
    """Return the entries that a stream holds, at most `MAX_OUTPUT_BYTES` of them, and whether these are all."""
    output = bytearray()
    while stream is not None and len(output) < MAX_OUTPUT_BYTES:
        data = await stream.read(MAX_OUTPUT_BYTES - len(output))
        if not data:
            return bytes(output), True
        output += data
    return bytes(output[: output.rfind(b"\0") + 1]), False


def _as_status(unmerged: bytes) -> bytes:
    """Return the index's unmerged entries, each mode, object, stage, tab and path, as `git status` would list them."""
    stages: dict[bytes, str] = {}
    for entry in unmerged.split(b"\0"):
        head, tab, path = entry.partition(b"\t")
        if tab:
            stages[path] = stages.get(path, "") + head[-1:].decode("ascii", "replace")
    return b"".join(b"%b %b\0" % (_STATES.get(found, "  ").encode(), path) for path, found in stages.items())
