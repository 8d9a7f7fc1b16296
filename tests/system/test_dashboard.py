"""The dashboard beside a real broker and a real service: what it shows, and how it comes back after each of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from custody_dashboard.dashboard_server import DashboardOptions, run_dashboard
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import COMMANDS, JETSTREAM_READ, BrokerUser, inbox
from infra.cli.session.command_error import CommandError
from infra.cli.session.session import Session
from infra.cli.terminal.output import Output
from infra.service.log_consent import LogConsent
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import FAST, Connect
from tests.support.ports import reserved_port
from tests.support.process_state import is_running
from tests.support.until import until
from tests.system.caller import Caller
from tests.system.conftest import Serve
from tests.system.processes import Service, access, client, delete_log, operator

pytestmark = pytest.mark.system
PATIENCE_S = 60.0
ONLY_HERE = DashboardOptions("127.0.0.1", 0, "ann", None, (), read_only=False, with_parent=False)


class Page:
    """A dashboard in this process, and a browser of it."""

    def __init__(self, settings: Settings, options: DashboardOptions) -> None:
        self._session = Session(settings, Output(as_json=True, now=datetime.now(UTC)), 5.0)
        self._options = options
        self._running: asyncio.Task[None] | None = None
        self.http = httpx.AsyncClient()

    async def start(self) -> None:
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(run_dashboard(self._session, self._options, address.set_result))
        await asyncio.wait((self._running, address), return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            self._running.result()
        where = httpx.URL(address.result())
        self._options = self._options._replace(port=where.port or 0)
        await self.http.aclose()
        self.http = httpx.AsyncClient(base_url=where, timeout=PATIENCE_S)

    async def stop(self) -> None:
        await self.http.aclose()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def act(self, **body: Any) -> httpx.Response:
        csrf = (await self.get("/api/session"))["csrf"]
        return await self.http.post("/api/act", json=body, headers={"X-CSRF-Token": csrf})

    async def events(self, last_id: str | None = None) -> AsyncGenerator[tuple[str, str | None, Any], None]:
        """The stream's events: name, id, document."""
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        async with self.http.stream("GET", "/api/stream", headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                else:
                    if "event" in fields:
                        yield fields["event"], fields.get("id"), json.loads(fields["data"])
                    fields = {}

    async def until(self, holds: Callable[[str, Any], bool]) -> Any:
        """Read the stream until an event fits; return its document."""
        async with asyncio.timeout(PATIENCE_S):
            async with contextlib.aclosing(self.events()) as events:
                async for name, _, document in events:
                    if holds(name, document):
                        return document
        raise AssertionError("the stream ended")

    async def watching(self, holds: Callable[[str, Any], bool], browsers: int = 1) -> list[asyncio.Task[Any]]:
        """Have browsers read the stream until an event fits; returns once each of them was sent the state."""
        begun = [asyncio.Event() for _ in range(browsers)]

        def read(begin: asyncio.Event, name: str, found: Any) -> bool:
            if name == "state":
                begin.set()
            return holds(name, found)

        tasks = [asyncio.create_task(self.until(partial(read, each))) for each in begun]
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(each.wait() for each in begun))
        return tasks

    async def reaches(self, ask: Caller) -> None:
        """Wait until it is where the service is now."""
        position = await ask.position()

        async def there() -> bool:
            return bool((await self.get("/api/session"))["position"] >= position)

        await until(f"position {position}", there, lambda: None)

    async def mode(self, mode: str, **more: Any) -> Any:
        """Wait until a beat says so."""
        return await self.until(lambda name, found: name == "beat" and found.items() >= {"mode": mode, **more}.items())


@pytest.fixture
async def new_page() -> AsyncIterator[Callable[..., Any]]:
    pages: list[Page] = []

    async def make(settings: Settings, options: DashboardOptions = ONLY_HERE) -> Page:
        page = Page(settings, options)
        pages.append(page)
        await page.start()
        return page

    yield make
    for each in pages:
        await each.stop()


def settings_for(broker: EmbeddedBroker, pool: str, user: str = "operator") -> Settings:
    credentials = broker.credentials(user)
    return Settings(nats=broker.url, pool=pool, nats_user=user, nats_password=credentials["password"])  # type: ignore[arg-type]


async def test_it_shows_what_happens_and_lets_a_person_act(
    broker: EmbeddedBroker, serve: Serve, connect: Connect, pool: str, new_page: Callable[..., Any]
) -> None:
    await serve()
    ask = Caller(await connect(), pool)
    page: Page = await new_page(settings_for(broker, pool))
    await page.mode("live")
    (changed,) = await page.watching(lambda name, found: name == "delta" and "agents" in found)
    await ask.done("agent.a1.register", capacity=2)
    await ask.done("ops.submit", task_id="T1", title="<b>bold</b>")
    await ask.done("ops.assign", task_id="T1", agent_id="a1")
    assert "a1" in (await changed)["agents"]["set"]
    await page.reaches(ask)
    state = await page.until(lambda name, _: name == "state")
    assert state["agents"]["a1"]["held"] == 1
    assert state["strip"]["served"] is True
    answer = await page.act(verb="cancel", task_id="T1", reason="not needed")
    assert answer.status_code == 200, answer.text
    assert (await ask.done("query.task", task_id="T1"))["outcome"]["by"] == "ops/ann"
    await page.reaches(ask)
    task = await page.get("/api/task", id="T1")
    assert (task["task"]["status"], task["attempts"][0]["why"]) == ("cancelled", "not needed")
    made = await page.http.get("/api/postmortem", params={"task": "T1"})
    assert made.status_code == 200
    assert made.headers["content-type"].startswith("text/html")
    assert "sandbox allow-scripts" in made.headers["content-security-policy"]
    assert "<b>bold</b>" not in made.text
    assert "&lt;b&gt;bold&lt;/b&gt;" in made.text
    assert (await page.http.get("/api/postmortem", params={"task": "none"})).status_code == 404
    assert (await page.http.get("/api/postmortem", params={"agent": "a1"})).status_code == 200
    assert (await page.http.get("/api/postmortem", params={"from": "1", "to": "2"})).status_code == 200
    last = (await page.get("/api/session"))["position"]
    past = await page.get("/api/at", position=last - 1)
    assert past["agents"]["a1"]["held"] == 1
    assert (await page.get("/api/timeline"))["last_position"] == last
    assert (await page.get("/api/morning"))["lines"]


async def test_a_browser_that_lost_its_stream_gets_what_it_missed(
    broker: EmbeddedBroker, serve: Serve, connect: Connect, pool: str, new_page: Callable[..., Any]
) -> None:
    await serve()
    ask = Caller(await connect(), pool)
    page: Page = await new_page(settings_for(broker, pool))
    await page.mode("live")
    last_id = None
    async with contextlib.aclosing(page.events()) as events:
        async for name, event_id, _ in events:
            last_id = event_id
            if name == "state":
                break
    await ask.done("ops.submit", task_id="T1")
    await page.until(lambda _, found: found.get("strip", {}).get("queued") == 1)
    async with contextlib.aclosing(page.events(last_id)) as events:
        async for name, _, document in events:
            assert name != "state", "it is not sent again"
            if document.get("strip", {}).get("queued") == 1:
                break


async def test_it_comes_back_after_the_service_the_broker_and_itself(
    users_broker: EmbeddedBroker, new_page: Callable[..., Any]
) -> None:
    broker, pool = users_broker, "p1"
    page: Page = await new_page(settings_for(broker, pool))
    await page.until(
        lambda name, found: name == "beat" and found["mode"] == "starting" and "has no log" in (found["why"] or "")
    )

    async def new_service() -> PoolServer:
        server = PoolServer(Settings(pool=pool), broker.url)
        await server.start(broker.auth, sync_interval="2m")
        return server

    service = await new_service()
    first = await page.mode("live", served_by=service.leader)
    async with operator(broker) as nc:
        await Caller(nc, pool).done("ops.submit", task_id="T1")
        await page.reaches(Caller(nc, pool))
        await service.stop()
        assert (await page.mode("live", served_by=None))["position"] > first["position"]
        service = await new_service()
        await page.mode("live", served_by=service.leader)

        await broker.kill()
        gone = await page.mode("disconnected", served_by=None)
        assert gone["why"]
        assert (await page.get("/api/tasks"))["total"] == 1, "what was known is shown, and not as live"
        assert (await page.act(verb="cancel", task_id="T1", reason="a test")).status_code in {503, 403}
        assert (await page.http.get("/api/task", params={"id": "T1"})).status_code == 503
        await broker.start()
        await page.mode("live", served_by=service.leader)

        await page.stop()
        await Caller(nc, pool).done("ops.submit", task_id="T2")
        address = page.http.base_url
        await page.start()
        assert page.http.base_url == address
        await page.mode("live", served_by=service.leader)
        assert (await page.get("/api/tasks"))["total"] == 2
    await service.stop()


async def test_it_follows_the_broker_of_its_directory_to_another_port(
    tmp_path: Path, new_page: Callable[..., Any], free_port: int
) -> None:
    data, pool = tmp_path / "data", "p1"

    async def new_service(broker: EmbeddedBroker) -> PoolServer:
        server = PoolServer(Settings(pool=pool), broker.url)
        return await server.start(broker.auth, sync_interval="2m")

    async with EmbeddedBroker(data, FAST) as broker:
        page: Page = await new_page(Settings(pool=pool, data_dir=data))
        service = await new_service(broker)
        await page.mode("live", served_by=service.leader)
        await service.stop()
    assert (await page.mode("disconnected"))["position"] > 0
    async with EmbeddedBroker(data, BrokerOptions(port=free_port, sync_interval=FAST.sync_interval)) as broker:
        service = await new_service(broker)
        await page.mode("live", served_by=service.leader)
        await service.stop()


async def test_a_log_that_was_deleted_and_made_anew_is_shown_anew(
    users_broker: EmbeddedBroker, new_page: Callable[..., Any]
) -> None:
    broker, pool = users_broker, "p1"
    service = PoolServer(Settings(pool=pool), broker.url)
    await service.start(broker.auth, sync_interval="2m")
    page: Page = await new_page(settings_for(broker, pool))
    await page.mode("live")
    async with operator(broker) as nc:
        for number in range(10):
            await Caller(nc, pool).done("ops.submit", task_id=f"T{number}")
        await page.until(lambda name, found: name in {"state", "delta"} and found.get("strip", {}).get("queued") == 10)
        await service.stop()
        await delete_log(broker, pool)
        again = PoolServer(Settings(pool=pool), broker.url, consent=LogConsent(new_log=True))
        await again.start(broker.auth, sync_interval="2m")
        await Caller(nc, pool).done("ops.submit", task_id="N1")
        await page.until(lambda name, found: name in {"state", "delta"} and found.get("strip", {}).get("queued") == 1)
        assert [row["task_id"] for row in (await page.get("/api/tasks"))["rows"]] == ["N1"]
        assert (await page.http.get("/api/task", params={"id": "T1"})).status_code == 404
    await again.stop()


async def test_with_a_user_that_may_only_read_there_are_no_buttons(
    tmp_path: Path, new_page: Callable[..., Any]
) -> None:
    reader = BrokerUser("reader", (COMMANDS[2], *JETSTREAM_READ), (inbox("reader"),))
    options = BrokerOptions(sync_interval=FAST.sync_interval, extra_users=(reader,))
    async with EmbeddedBroker(tmp_path / "broker", options) as broker:
        service = PoolServer(Settings(pool="p1"), broker.url)
        await service.start(broker.auth, sync_interval="2m")
        page: Page = await new_page(settings_for(broker, "p1", "reader"))
        await page.mode("live", served_by=service.leader)
        async with asyncio.timeout(PATIENCE_S):
            while "broker does not let" not in ((await page.get("/api/session"))["why_not"] or ""):  # noqa: ASYNC110 - another process says it
                await asyncio.sleep(0.05)
        assert (await page.act(verb="pause")).status_code == 403
        await service.stop()


async def test_a_hundred_browsers_see_the_same(
    broker: EmbeddedBroker, serve: Serve, connect: Connect, pool: str, new_page: Callable[..., Any]
) -> None:
    await serve()
    ask = Caller(await connect(), pool)
    page: Page = await new_page(settings_for(broker, pool))
    page.http._limits = None  # type: ignore[attr-defined] # noqa: SLF001 - replaced below
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=0)
    page.http = httpx.AsyncClient(base_url=page.http.base_url, timeout=PATIENCE_S, limits=limits)
    await page.mode("live")
    watching = await page.watching(lambda name, found: name == "delta" and found["strip"]["queued"] == 1, 100)
    await ask.done("ops.submit", task_id="T1")
    found = await asyncio.gather(*watching)
    assert len({json.dumps(each) for each in found}) <= 2, "all of them got the same delta, or the one after it"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ONLY_HERE._replace(host="0.0.0.0"), "--host 0.0.0.0 can be reached by others: name those who may"),  # noqa: S104 - what is refused
        (ONLY_HERE._replace(host="no.such.host.invalid"), "can be reached by others"),
        (ONLY_HERE._replace(token_file=Path("/none"), person=None), "cannot read /none"),
        (ONLY_HERE._replace(person="ann\nbob"), "--as should be 1 to 128 printable characters"),
        (ONLY_HERE._replace(person=""), "--as should be 1 to 128 printable characters"),
        (ONLY_HERE._replace(token_file=Path("/none")), "--as goes without --token-file"),
    ],
)
async def test_a_start_that_cannot_be_meant_is_refused(tmp_path: Path, options: DashboardOptions, said: str) -> None:
    with pytest.raises(CommandError) as refused:
        await Page(Settings(data_dir=tmp_path), options).start()
    assert said in str(refused.value)


async def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        page = Page(Settings(data_dir=tmp_path), ONLY_HERE._replace(port=taken.getsockname()[1]))
        with pytest.raises(CommandError, match="choose another --port"):
            await page.start()


# `custody up`


def children(pid: int) -> list[int]:
    """The pids of a process's children that are dashboards."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (each / "stat").read_text()
                if int(stat.rpartition(")")[2].split()[1]) == pid and b"dashboard" in (each / "cmdline").read_bytes():
                    found.append(int(each.name))
    return found


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.05)


async def answered(address: str) -> Any:
    """The session of a dashboard, once it is live and knows what may be done."""
    async with asyncio.timeout(PATIENCE_S), httpx.AsyncClient(base_url=address) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                found = (await http.get("/api/session")).json()
                if found["mode"] == "live" and found["can_act"]:
                    return found
            await asyncio.sleep(0.05)


@pytest.fixture
def free_port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_up_starts_it_and_starts_it_again_and_ends_it(tmp_path: Path, free_port: int) -> None:
    async with Service("up", tmp_path, dashboard_port=free_port, broker_sync_interval="2m", pool="p1") as service:
        await service.ready()
        address = (await service.line("^dashboard ")).split()[1]
        assert address == f"http://127.0.0.1:{free_port}/"
        session = await answered(address)
        assert (session["pool"], session["can_act"]) == ("p1", True)
        (first,) = children(service.pid)
        os.kill(first, signal.SIGKILL)
        assert "starting it again in 1 s" in await service.line("the dashboard ended")
        await answered(address)
        (second,) = children(service.pid)
        assert second != first
        async with client(**access(tmp_path / "data")) as nc:
            assert (await Caller(nc, "p1").done("query.health"))["leading"] is True
        config = (tmp_path / "data" / "dashboard.toml").read_text()
        assert "password" not in config
        assert await service.stop() == 0
        assert not is_running(second)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_it_ends_with_an_up_that_is_killed(tmp_path: Path, free_port: int) -> None:
    async with Service("up", tmp_path, dashboard_port=free_port, broker_sync_interval="2m") as service:
        await service.ready()
        await answered(f"http://127.0.0.1:{free_port}/")
        (child,) = children(service.pid)
        await service.kill()
        await eventually(lambda: not is_running(child))


async def test_a_port_that_is_taken_moves_it_to_the_next(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with Service("up", tmp_path, dashboard_port=port, broker_sync_interval="2m") as service:
            await service.ready()
            address = (await service.line("^dashboard ")).split()[1]
            assert httpx.URL(address).port not in {port, 0}
            await answered(address)


async def test_0_means_none(tmp_path: Path) -> None:
    async with Service("up", tmp_path, dashboard_port=0, broker_sync_interval="2m") as service:
        await service.ready()
        assert not [line for line in service.said if line.startswith("dashboard")]
        if sys.platform == "linux":
            assert children(service.pid) == []


async def test_the_command_says_where_it_is_and_ends_by_a_signal(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.cli.main", "dashboard", "--json", "--port", "0", "--pool", "p1"),
        *("--data-dir", str(tmp_path), "--nats", "nats://127.0.0.1:9", "--log-format", "json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            said = json.loads(await process.stdout.readline())
            assert said["pool"] == "p1"
            async with httpx.AsyncClient(base_url=said["address"]) as http:
                assert (await http.get("/")).status_code == 200
                assert (await http.get("/api/session")).json()["mode"] == "starting"
            expected = "not connected: cannot use the broker at nats://127.0.0.1:9: connection refused"
            assert process.stderr is not None
            while expected not in json.loads(await process.stderr.readline())["message"]:
                pass
            process.terminate()
            _, logged = await process.communicate()
        assert process.returncode == 0
        assert all(json.loads(line)["message"] for line in logged.splitlines())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
