"""The page `/metrics` over HTTP: what it answers, and that no caller can hold up the service or grow its memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import httpx
import pytest

from infra.metrics import metrics_server as module
from infra.metrics.metrics_server import MetricsServer
from tests.support.ports import free_port

LOOPBACK = "127.0.0.1"
HALF = b"GET /metrics HTTP/1.1\r\n"


class Site(NamedTuple):
    """A server that says what it was asked to accept."""

    server: MetricsServer
    port: int
    asked: list[str]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    asked: list[str] = []

    async def page(accepted: str) -> tuple[bytes, str]:
        asked.append(accepted)
        if accepted == "boom":
            raise RuntimeError(accepted)
        return b"custody_leader 1\n", "text/plain"

    port = free_port()
    server = MetricsServer(LOOPBACK, port, page)
    assert await server.start()
    yield Site(server, port, asked)
    await server.stop()


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{site.port}", trust_env=False) as client:
        yield client


async def said(site: Site, request: bytes) -> bytes:
    """What comes back for these bytes, until the server closes the connection."""
    reader, writer = await asyncio.open_connection(LOOPBACK, site.port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_the_page_comes_with_its_type_and_is_kept_nowhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert (answer.status_code, answer.text) == (200, "custody_leader 1\n")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_scraper_says_what_it_accepts(site: Site, client: httpx.AsyncClient) -> None:
    await client.get("/metrics?name[]=x", headers={"Accept": "application/openmetrics-text"})
    assert site.asked == ["application/openmetrics-text"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/metrics", 200),
        ("GET", "/", 404),
        ("GET", "/metrics/../etc", 404),
        ("HEAD", "/x", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics", 405),
    ],
)
async def test_other_requests(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert not (method == "HEAD" and answer.content)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(b"\x00\xff\r\n\r\n", b"404", id="no HTTP"),
        pytest.param(b"\r\n\r\n", b"404", id="nothing"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", b"200", id="a header without a colon"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", b"", id="too long"),
        pytest.param(b"GET /metrics HTTP/1.1\r\naccept: boom\r\n\r\n", b"", id="a fault of ours: no answer"),
        pytest.param(HALF, b"", id="half a request"),
    ],
)
async def test_bad_requests_cost_their_own_connection(
    site: Site, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, status: bytes
) -> None:
    with monkeypatch.context() as patched:
        if request_bytes == HALF:
            # Only this one is cut off for its time: the others would be, too, by a machine that stands still meanwhile.
            patched.setattr(module, "TIMEOUT_S", 0.2)
        answer = await said(site, request_bytes)
    assert answer[9:12] == status
    assert (await client.get("/metrics")).status_code == 200


async def test_who_is_slow_is_cut_off_and_who_comes_beyond_the_limit_too(
    site: Site, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "TIMEOUT_S", 0.3)
        patched.setattr(module, "MAX_CONNECTIONS", 3)
        idle = [asyncio.create_task(said(site, b"GET ")) for _ in range(3)]
        opened = [asyncio.open_connection(LOOPBACK, site.port) for _ in range(5)]
        await asyncio.sleep(0)
        pairs = await asyncio.gather(*opened)
        ends = await asyncio.gather(*(reader.read() for reader, _ in pairs), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionError) for end in ends)
        for _, writer in pairs:
            writer.close()
        assert await asyncio.gather(*idle) == [b"", b"", b""]
    # With the time that it has by itself: a machine that stands still meanwhile would use up 0.3 s.
    assert (await client.get("/metrics")).status_code == 200


async def test_where_the_port_is_taken_it_says_so_and_listens_once_it_is_free(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = asyncio.Event()
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    listens: Callable[[MetricsServer], object] = MetricsServer._listens  # noqa: SLF001 - counted

    async def counted(server: MetricsServer) -> bool:
        found = await listens(server)  # type: ignore[misc] # a coroutine
        tried.set()
        return bool(found)

    monkeypatch.setattr(MetricsServer, "_listens", counted)
    second = MetricsServer(LOOPBACK, site.port, site.server._make_page)  # noqa: SLF001 - the same page
    assert not await second.start()
    assert f"metrics cannot be shown at http://{LOOPBACK}:{site.port}/metrics" in caplog.text
    await site.server.stop()
    async with asyncio.timeout(10), httpx.AsyncClient(trust_env=False) as client:
        while second._server is None:  # noqa: SLF001 - whether it listens
            tried.clear()
            await tried.wait()
        assert (await client.get(second.url)).status_code == 200
    await second.stop()


async def test_a_server_that_never_listened_can_be_stopped(site: Site) -> None:
    second = MetricsServer(LOOPBACK, site.port, site.server._make_page)  # noqa: SLF001 - the same page
    assert not await second.start()
    await second.stop()


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    async def page(_: str) -> tuple[bytes, str]:
        return b"", ""

    assert MetricsServer("::1", 9464, page).url == "http://[::1]:9464/metrics"
