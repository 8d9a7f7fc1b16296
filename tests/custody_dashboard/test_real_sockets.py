"""Browsers over real connections: one that reads nothing, one that goes away, one that sends nonsense."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest
import uvicorn

from custody_dashboard.app import new_app
from custody_dashboard.watch.hub import MAX_WAITING_FRAMES, Hub
from custody_dashboard.web import limited_http, request_body
from custody_dashboard.web.limited_http import LimitedHttp
from tests.custody_dashboard.conftest import Desk

ASK = b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE_S = 20.0


class Served(NamedTuple):
    port: int
    hub: Hub


@pytest.fixture
async def served(desk: Desk) -> AsyncIterator[Served]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    app = new_app(desk.context, {"localhost", "127.0.0.1"})
    config = uvicorn.Config(app, http=LimitedHttp, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield Served(listening.getsockname()[1], desk.watch.hub)
    desk.watch.hub.close()
    server.should_exit = True
    async with asyncio.timeout(PATIENCE_S):
        await serving
    listening.close()


async def until(browsers: int, hub: Hub) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(hub) != browsers:  # noqa: ASYNC110 - a socket has no event for it
            await asyncio.sleep(0.01)


async def test_a_browser_that_reads_nothing_holds_a_short_line_and_nobody_up(served: Served) -> None:
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.setblocking(False)  # noqa: FBT003 - the library's signature
    await asyncio.get_running_loop().sock_connect(stalled, ("127.0.0.1", served.port))
    await asyncio.get_running_loop().sock_sendall(stalled, ASK)
    await until(1, served.hub)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", timeout=PATIENCE_S) as http:
        async with http.stream("GET", "/api/stream") as quick:
            await until(2, served.hub)
            lines = quick.aiter_lines()
            dropped = False
            for number in range(200):
                served.hub.publish(number, {"number": number, "text": "x" * 100_000})
                waiting = [len(each.waiting) for each in served.hub._browsers]  # noqa: SLF001 - what is bounded
                assert max(waiting) <= MAX_WAITING_FRAMES
                dropped = dropped or any(each.needs_state for each in served.hub._browsers)  # noqa: SLF001 - same
                async with asyncio.timeout(PATIENCE_S):
                    while f'"number":{number},' not in await anext(lines):
                        pass
            assert dropped, "the one that reads nothing gets the state, not what it missed"
        await until(1, served.hub)
    stalled.close()
    served.hub.beat({"mode": "live"})
    await until(0, served.hub)


async def test_a_connection_that_takes_nothing_ends(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_http, "SEND_TIMEOUT_S", 0.05)
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.setblocking(False)  # noqa: FBT003 - the library's signature
        await asyncio.get_running_loop().sock_connect(stalled, ("127.0.0.1", served.port))
        await asyncio.get_running_loop().sock_sendall(stalled, ASK)
        await until(1, served.hub)
        for number in range(MAX_WAITING_FRAMES):
            served.hub.publish(number, {"text": "x" * 1_000_000})
        await until(0, served.hub)


async def test_a_connection_that_asks_nothing_or_too_slowly_ends(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = b"GET /api/session HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = (
        b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    for sent, answered, head_s in (
        (b"", b"", 0.05),
        (ask[:9], b"", 0.05),
        (ask, b"HTTP/1.1 200", PATIENCE_S),
        (body, b"HTTP/1.1 408", PATIENCE_S),
    ):
        # What is sent at once comes later than that where the test's process has to wait for its turn.
        monkeypatch.setattr(limited_http, "HEAD_TIMEOUT_S", head_s)
        monkeypatch.setattr(request_body, "BODY_TIMEOUT_S", 0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read(12) == answered, sent
        writer.close()


async def test_what_is_no_http_ends_its_connection_alone(served: Served) -> None:
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"G" * 200_000,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(nonsense)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read(64)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))
        writer.close()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as http:
        assert (await http.get("/api/session")).status_code == 200


async def test_the_end_of_the_dashboard_ends_every_stream(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(ASK)
    await until(1, served.hub)
    served.hub.close()
    async with asyncio.timeout(PATIENCE_S):
        sent = await reader.readuntil(b"0\r\n\r\n")
    assert b"event: state" in sent
    writer.close()
