"""`custody top` in a real terminal, beside a real service and a real broker, with restarts of both."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import pytest

from tests.support.checkout import ROOT
from tests.system.caller import Caller
from tests.system.processes import Service, access, client

pytestmark = pytest.mark.system
PATIENCE_S = 60.0
ESCAPES = re.compile(
    r"\x1b(?:\[[0-9;?<>=:]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[@-Z\\-_=>])"
)
COLOUR = re.compile(r"\x1b\[([0-9;:]*)m")


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, *arguments: str, directory: Path, columns: int = 80, rows: int = 24, **variables: str) -> None:
        self._arguments = arguments
        self._directory = directory
        self._size = rows, columns
        self._variables = variables
        self._parent = -1
        self._written = bytearray()
        self._seen = 0
        self._changed = asyncio.Event()
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._parent, child = pty.openpty()
        self.resize(self._size[1], self._size[0])
        kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.cli.main", "top", *self._arguments),
            cwd=self._directory,
            env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **self._variables},
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
        )
        os.close(child)
        asyncio.get_running_loop().add_reader(self._parent, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self._parent >= 0:
            self.close()

    def close(self) -> None:
        """Take the terminal away; it is not the process's own, so no signal says so."""
        asyncio.get_running_loop().remove_reader(self._parent)
        os.close(self._parent)
        self._parent = -1

    def _read(self) -> None:
        try:
            self._written += os.read(self._parent, 65_536)
        except OSError:  # how Linux says that the last writer has closed the terminal
            asyncio.get_running_loop().remove_reader(self._parent)
        self._changed.set()

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._parent, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Press keys; what is written from now on is what follows from them."""
        self._seen = len(self._written)
        os.write(self._parent, keys.encode())

    def mark(self) -> None:
        """Look only at what is written from now on."""
        self._seen = len(self._written)

    @property
    def raw(self) -> str:
        """Everything that was written."""
        return self._written.decode(errors="replace")

    @property
    def text(self) -> str:
        """What was written since the last key or mark, without what moves and colours it."""
        return ESCAPES.sub("", self._written[self._seen :].decode(errors="replace"))

    async def until(self, *words: str) -> str:
        """Wait until all of these were written."""
        await self.holds(lambda text: all(each in text for each in words), words)
        return self.text

    async def holds(self, holds: Callable[[str], bool], what: object) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(self.text):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what} was not written, but {self.text[-4000:]!r}") from None

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Service("up", tmp_path) as up:
        await up.ready()
        yield up


@contextlib.asynccontextmanager
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    async with client(**access(tmp_path / "data")) as nc:
        yield Caller(nc, "default")


async def fill(tmp_path: Path) -> None:
    async with caller(tmp_path) as calls:
        await calls.done("agent.alice.register", capacity=3)
        await calls.done("ops.submit", task_id="T1", title="\x1b]0;owned\x07\x1b[2J<b>[red]hostile[/red]")
        await calls.done("agent.alice.claim")


async def test_it_follows_a_pool_through_restarts_and_acts(tmp_path: Path, service: Service) -> None:
    await fill(tmp_path)
    async with Terminal("--data-dir", "data", "--as", "ann", directory=tmp_path) as terminal:
        await terminal.until("LIVE", "served by", "alice", "T1", "\\x1b]0;", "Tab table")
        assert "\x1b]0;owned" not in terminal.raw
        assert "\x1b[2J<b>" not in terminal.raw

        terminal.type("\t")
        terminal.type("c")
        await terminal.until("Cancel T1", "It ends for good", "on record as ann")
        terminal.type("not needed\r")
        await terminal.until("T1 is cancelled; on record at position")
        async with caller(tmp_path) as calls:
            task = await calls.done("query.task", task_id="T1")
            assert (task["outcome"]["by"], task["outcome"]["detail"]) == ("ops/ann", "not needed")

        terminal.mark()
        # The broker goes with the service.
        assert await service.stop() == 0
        await terminal.until("NOT CONNECTED", "NOT LIVE: out of touch")
        terminal.mark()
        await service.start()
        await service.ready()
        await terminal.until("LIVE", "served by")
        terminal.mark()
        async with caller(tmp_path) as calls:
            await calls.done("ops.submit", task_id="T2", title="back again")
        await terminal.until("back again")
        assert "NOT LIVE" not in terminal.text

        terminal.mark()
        terminal.resize(120, 40)
        # The kernel sends it to the programs that a terminal controls; this one does not control any.
        terminal.process.send_signal(signal.SIGWINCH)
        await terminal.until("waits because, or last words", "session")
        terminal.type("q")
        assert await terminal.ended() == 0
    assert "\x1b[?1049h" in terminal.raw, "on a screen of its own,"
    assert terminal.raw.rindex("\x1b[?1049l") > terminal.raw.rindex("\x1b[?1049h"), "which is left at the end"
    assert "\x1b[?1000h" not in terminal.raw, "and without the mouse"
    for codes in COLOUR.findall(terminal.raw):
        assert not re.search(r"(?:^|;)[34]8[;:]", codes), f"only the terminal's own 16 colours: {codes}"


async def test_a_broker_that_is_killed_and_comes_back(tmp_path: Path, service: Service) -> None:
    await fill(tmp_path)
    async with Terminal("--data-dir", "data", directory=tmp_path) as terminal:
        await terminal.until("LIVE", "alice")
        terminal.mark()
        await service.kill_with_broker()
        await terminal.until("NOT CONNECTED")
        terminal.mark()
        await service.start()
        await service.ready()
        await terminal.until("LIVE", "served by")
        terminal.type("\x03")
        assert await terminal.ended() == 0


async def test_no_colour_and_no_broker(tmp_path: Path) -> None:
    data = ("--nats", "nats://127.0.0.1:1")
    async with Terminal(*data, directory=tmp_path, NO_COLOR="1") as terminal:
        await terminal.until("STARTING", "not live yet: ", "connection refused")
        terminal.type("?")
        await terminal.until("the pool as it is now")
        terminal.type("q")
        await terminal.until("STARTING")
        terminal.process.send_signal(signal.SIGTERM)
        assert await terminal.ended() == 0
    for codes in COLOUR.findall(terminal.raw):
        assert {int(code) for code in codes.split(";") if code} <= {0, 1, 2, 7, 22, 23, 24, 27, 39, 49}, codes


async def test_it_ends_when_its_terminal_is_gone(tmp_path: Path) -> None:
    async with Terminal("--nats", "nats://127.0.0.1:1", directory=tmp_path) as terminal:
        await terminal.until("STARTING")
        terminal.close()
        assert await terminal.ended() == 0


async def run(tmp_path: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run top without a terminal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.cli.main", "top", *arguments),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_without_a_terminal_it_prints_one_snapshot(tmp_path: Path, service: Service) -> None:
    await fill(tmp_path)
    status, out, err = await run(tmp_path, "--data-dir", "data")
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    head, *_ = out.splitlines()
    assert head.startswith("custody top default  LIVE ")
    assert "served by" in head
    for words in ("NEEDS YOU 0", "AGENTS 1", "alice", "TASKS 1 live", "alice has not started it"):
        assert words in out
    status, out, _ = await run(tmp_path, "--data-dir", "data", "--json")
    document = json.loads(out)
    assert (status, document["mode"], list(document["agents"])) == (0, "live", ["alice"])
    async with Terminal("--once", "--data-dir", "data", directory=tmp_path, columns=100) as terminal:
        await terminal.until("AGENTS 1", "TASKS 1")
        assert await terminal.ended() == 0
        assert "\x1b[?1049h" not in terminal.raw


async def test_without_a_terminal_and_without_a_pool_it_says_so(tmp_path: Path, service: Service) -> None:
    status, out, err = await run(tmp_path, "--nats", "nats://127.0.0.1:1")
    assert (status, out) == (3, "")
    assert "connection refused" in err
    status, out, err = await run(tmp_path, "--data-dir", "data", "--pool", "other")
    assert (status, out) == (1, "")
    assert "pool other has no log" in err


async def test_an_onlooker_cannot_act(tmp_path: Path, service: Service) -> None:
    await fill(tmp_path)
    async with Terminal("--data-dir", "data", "--read-only", directory=tmp_path) as terminal:
        await terminal.until("LIVE", "alice")
        terminal.type("p")
        await terminal.until("top was started with --read-only")
        terminal.type("q")
        assert await terminal.ended() == 0
