"""Any program as a worker: the task comes in its environment and on its input, and what it prints is its report.

| line on standard output | |
|---|---|
| `::progress 40 tests green` | progress in percent, and a note |
| `::checkpoint {"page": 3}` | where the next holder goes on, as JSON |
| `::quiet 600 a long build` | no report for so many seconds, and why |
| `::result {"file": "report.pdf"}` | what the task's result is, as JSON |

| exit status | |
|---|---|
| 0 | the task is completed |
| 65 (`EX_DATAERR`) | it failed, and no other attempt can succeed |
| 75 (`EX_TEMPFAIL`) | it is given back, with its last checkpoint |
| any other, or a signal | this attempt failed; its last lines on standard error say why |
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec

from custody_client.children import end_child, start_child
from custody_client.errors import CustodyError, HandOver, NotRetryable
from custody_client.held import Held

_log = logging.getLogger("custody_client")

FAILED_FOR_GOOD, GIVEN_BACK = 65, 75
LINE_BYTES = 1024 * 1024
"""The longest line that is read; a checkpoint has 64 KiB."""
TAIL_BYTES = 2000
"""Of what it wrote on standard error last, in the record of a failure."""
MARK = "::"


class ProgramFailed(CustodyError):  # noqa: N818 - an outcome
    """The program ended with another status than 0."""


class Program:
    """A program that works on one task after the other."""

    def __init__(self, command: Sequence[str], *, kill_after_s: float, out: TextIO | None = None) -> None:
        """`kill_after_s`: when it is killed after it was asked to end. `out`: where its other lines go."""
        self._command = command
        self._kill_after_s = kill_after_s
        self._out = out or sys.stdout

    async def work(self, held: Held[Any]) -> Any:
        """Run it on a task, and return the task's result.

        Raises:
            NotRetryable, HandOver, ProgramFailed: by its exit status.
            OSError: it cannot be started.
        """
        payload = msgspec.json.encode(held.payload)
        with tempfile.TemporaryDirectory(prefix="custody-") as directory:
            file = Path(directory) / "payload.json"
            file.write_bytes(payload)
            process = await start_child(
                self._command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env={**os.environ, **task_environment(held), "CUSTODY_PAYLOAD": str(file)},
                limit=LINE_BYTES,
            )
            run = _Run(held, self._out)
            try:
                async with asyncio.TaskGroup() as reading:
                    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - they are pipes
                    reading.create_task(_feed(process.stdin, payload))
                    reading.create_task(run.read_reports(process.stdout))
                    errors = reading.create_task(_read_tail(process.stderr))
                status = await process.wait()
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
            finally:
                if process.returncode is None:
                    await end_child(process, self._kill_after_s)
        _raise_for(status, errors.result())
        return run.result


def task_environment(held: Held[Any]) -> dict[str, str]:
    """Return what a program finds of its task in the environment; the checkpoint is JSON, or empty."""
    checkpoint = "" if held.checkpoint is None else msgspec.json.encode(held.checkpoint).decode()
    handoff = held.handoff
    return {
        "CUSTODY_TASK_ID": held.task_id,
        "CUSTODY_TOKEN": str(held.token),
        "CUSTODY_ATTEMPT": str(held.attempt),
        "CUSTODY_TITLE": held.title,
        "CUSTODY_CHECKPOINT": checkpoint,
        "CUSTODY_HANDOFF": handoff.instructions if handoff is not None else "",
    }


def _raise_for(status: int, errors: str) -> None:
    if status == 0:
        return
    if status == GIVEN_BACK:
        raise HandOver(f"exit status {status}")
    how = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
    said = f"{how}: {errors}" if errors else how
    if status == FAILED_FOR_GOOD:
        raise NotRetryable(said)
    raise ProgramFailed(said)


class _Run:
    """What one run of the program says."""

    def __init__(self, held: Held[Any], out: TextIO) -> None:
        self._held = held
        self._out = out
        self._percent = held.handoff.progress if held.handoff is not None else 0
        self.result: Any = None

    async def read_reports(self, stream: asyncio.StreamReader) -> None:
        """Act on the lines that are reports, and show the others."""
        while line := await _next_line(stream):
            text = line.decode(errors="replace")
            if not text.startswith(MARK) or not await self._is_report(text.rstrip("\r\n")[len(MARK) :]):
                self._out.write(text)
                self._out.flush()

    async def _is_report(self, text: str) -> bool:
        """Act on a report; return whether it was one."""
        verb, _, rest = text.partition(" ")
        rest = rest.strip()
        try:
            match verb:
                case "progress":
                    percent, _, note = rest.partition(" ")
                    self._percent = int(float(percent.rstrip("%")))
                    await self._held.progress(self._percent, note or None)
                case "checkpoint":
                    await self._held.progress(self._percent, checkpoint=msgspec.json.decode(rest))
                case "quiet":
                    for_s, _, reason = rest.partition(" ")
                    await self._held.quiet(float(for_s), reason or "the program is quiet")
                case "result":
                    self.result = msgspec.json.decode(rest)
                case _:
                    return False
        except ValueError as error:
            _log.warning("%s: a report cannot be read (%s): %s%s", self._held.task_id, error, MARK, text[:200])
            return False
        return True


async def _next_line(stream: asyncio.StreamReader) -> bytes:
    """Return a line, or part of one that is too long; empty at the end."""
    try:
        return await stream.readline()
    except ValueError:
        return await stream.read(LINE_BYTES)


async def _feed(stream: asyncio.StreamWriter, data: bytes) -> None:
    """Write what the program reads, as far as it does."""
    try:
        stream.write(data)
        await stream.drain()
        stream.close()
        await stream.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        return


async def _read_tail(stream: asyncio.StreamReader) -> str:
    """Show what comes, and return the end of it."""
    tail = b""
    while chunk := await stream.read(65_536):
        sys.stderr.write(chunk.decode(errors="replace"))
        sys.stderr.flush()
        tail = (tail + chunk)[-TAIL_BYTES:]
    return tail.decode(errors="ignore").strip()
