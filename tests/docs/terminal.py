"""A terminal with a shell, typed into as a page shows it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Self

from tests.docs.pages import Step, constant

SEEN_S = 60.0
"""How long a line that a page shows is waited for; it comes within seconds."""
ELLIPSIS = "..."
"""A line in place of others."""
ENDED = "ended-with-status"


class Terminal:
    """One shell; at its end, what it started ends with it."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._lines: list[str] = []
        self._came = threading.Condition()
        self._seen = 0
        self._typed = 0
        self._shell = subprocess.Popen(
            ["/bin/sh"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs in it the polite way, and kill what is still there after a while."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._shell.pid, number)
            except ProcessLookupError:
                break
            # Read to the end: all that write to the terminal are gone then.
            self._reader.join(timeout=20)
            if not self._reader.is_alive():
                break
        self._shell.wait()
        assert self._shell.stdin is not None
        self._shell.stdin.close()

    def type(self, step: Step, *, ends: bool) -> None:
        """Type a command, and see what the page shows, line after line; others may come between.

        `ends`: whether it has to end, with status 0, before what comes next is typed.
        """
        assert self._shell.stdin is not None
        self._typed += 1
        mark = f"{ENDED} {self._typed} "
        self._shell.stdin.write(f"{step.command}\n")
        if ends:
            self._shell.stdin.write(f'echo; echo "{mark}$?"\n')
        self._shell.stdin.flush()
        end = self._place(lambda said: said.startswith(mark), self._seen, step.command) if ends else self._seen
        assert not ends or self._lines[end] == f"{mark}0", f"`{step.command}`: {self._all()}"
        for line in step.output.splitlines():
            if line != ELLIPSIS:
                self._seen = self._place(partial(_are_alike, line), self._seen, f"{line!r} of `{step.command}`") + 1
        self._seen = max(self._seen, end)

    def _place(self, is_it: Callable[[str], bool], start: int, what: str) -> int:
        """Return where the next line from `start` on is that is wanted."""
        until = time.monotonic() + SEEN_S
        with self._came:
            while True:
                for place in range(start, len(self._lines)):
                    if is_it(self._lines[place]):
                        return place
                start = len(self._lines)
                assert time.monotonic() < until, f"{what} was not seen in:\n{self._all()}"
                assert self._reader.is_alive(), f"the terminal ended before {what}:\n{self._all()}"
                self._came.wait(1.0)

    def _all(self) -> str:
        return "\n".join(self._lines)

    def _read(self) -> None:
        assert self._shell.stdout is not None
        with self._shell.stdout as stream:
            for line in stream:
                with self._came:
                    self._lines.append(line.rstrip("\n"))
                    self._came.notify_all()


def _are_alike(shown: str, said: str) -> bool:
    return constant(said) == constant(shown)
