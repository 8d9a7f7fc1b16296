"""A worker before there is a service: it says what it waits for, goes on waiting, and ends only over what is wrong."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from custody_client import Client, CredentialsError, CustodyError, NoAnswerError, StaleSession, Worker
from custody_client import link as link_module
from custody_client.address import Address, find_address
from custody_client.calls import Calls
from custody_client.link import Link
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import agent_user
from tests.client.conftest import Place, eventually
from tests.support.ports import reserved_port
from tests.support.secret_files import write_secret

RESULT_S = 60.0
PROGRAM = """
from custody_client import Worker
worker = Worker("w1")
@worker.task("report")
async def report() -> str:
    return "done"
worker.run()
"""


def reporter(name: str = "w1", **options: str) -> Worker:
    """A worker with one handler."""
    worker = Worker(name, **options)  # type: ignore[arg-type]

    @worker.task("report")
    async def report() -> str:
        return "done"

    return worker


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory beside which no service runs, and an environment that names none."""
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    return tmp_path


def leave_address(directory: Path, url: str) -> None:
    """Write what `custody up` leaves in a directory, for a broker at a URL with user and password."""
    found = find_address(url, environ={})
    user, _, rest = found.servers[0].removeprefix("nats://").partition(":")
    password, _, host = rest.rpartition("@")
    assert user == "operator"
    data = directory / ".custody"
    data.mkdir(exist_ok=True)
    write_secret(data / "credentials.json", json.dumps({user: password}))
    # As `custody up` does: whoever waits for the file never sees half of it.
    (data / "new.json").write_text(json.dumps({"url": f"nats://{host}", "pid": 1, "users": True}))
    (data / "new.json").replace(data / "broker.json")


@pytest.mark.system
async def test_a_program_that_is_started_before_its_service_says_so_in_one_line_and_waits(
    place: Place, client: Client, nothing: Path
) -> None:
    (nothing / "worker.py").write_text(PROGRAM)
    environment = {**os.environ, "CUSTODY_POOL": place.pool}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "worker.py", env=environment, stdout=PIPE, stderr=PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(RESULT_S):
        line = (await process.stderr.readline()).decode()
    assert f"w1: waiting for the broker: there is no {nothing}/.custody/broker.json: run this beside" in line
    leave_address(nothing, place.url)
    assert await (await client.submit("report")).result(RESULT_S) == "done"
    process.send_signal(signal.SIGTERM)
    said, errors = await process.communicate()
    assert (process.returncode, said, errors) == (0, b"", b"")


async def test_what_is_waited_for_is_said_once_and_again_after_a_while(
    nothing: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0

    def find() -> Address:
        nonlocal attempts
        attempts += 1
        return Address((f"nats://u:secret@127.0.0.1:{port}",))

    monkeypatch.setattr(link_module, "LONGEST_PAUSE_S", 0.01)
    link = Link(find, "w1")
    with reserved_port() as port:
        await link.open()
        await eventually(lambda: attempts >= 4)
        where = f"nats://127.0.0.1:{port}: [Errno 111] Connect call failed ('127.0.0.1', {port})"
        assert [each.message for each in caplog.records] == [f"w1: waiting for the broker at {where}"]
        monkeypatch.setattr(link_module, "SAY_AGAIN_S", 0.0)
        await eventually(lambda: len(caplog.records) >= 3)
        await link.close()


async def test_a_worker_that_waits_can_be_stopped(nothing: Path) -> None:
    worker = reporter()
    serving = asyncio.create_task(worker.serve())
    asyncio.get_running_loop().call_later(0.2, worker.stop)
    async with asyncio.timeout(RESULT_S):
        await serving


async def test_a_pool_that_is_not_served_is_waited_for_and_said(
    place: Place, nothing: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custody_client.calls.SAY_AFTER_S", 0.1)
    worker = reporter(url=place.url, pool="elsewhere")
    serving = asyncio.create_task(worker.serve())
    wanted = re.compile(
        r"waiting for the service of pool elsewhere: agent\.w1\.register has had no outcome for \d+ s, and is repeated "
        r"\(no service takes custody\.elsewhere\.agent\.w1\.register\)"
    )
    await eventually(lambda: any(map(wanted.fullmatch, caplog.messages)))
    worker.stop()
    await serving


async def test_what_many_wait_for_is_said_once(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custody_client.calls.SAY_AFTER_S", 0.1)
    request, asked = Link.request, 0

    async def counted(link: Link, *given: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        return await request(link, *given, **options)

    def said() -> list[str]:
        return [each for each in caplog.messages if "waiting for the service of pool elsewhere" in each]

    monkeypatch.setattr(Link, "request", counted)
    async with Client(place.url, pool="elsewhere") as client:
        waiting = [asyncio.create_task(client.task(f"T{number}").result(RESULT_S)) for number in range(20)]
        await eventually(lambda: bool(said()))
        before = asked
        await eventually(lambda: asked >= before + len(waiting))
        assert not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert len(said()) == 1


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"CUSTODY_NATS": "nats://127.0.0.1:port"}, "w1: nats://127.0.0.1:port is no address of a broker"),
        ({"CUSTODY_NATS": "h", "CUSTODY_CREDENTIALS": "/none"}, "w1: the credentials in /none cannot be read"),
        ({"CUSTODY_CREDENTIALS": "f"}, "w1: credentials need an address of their own"),
    ],
)
def test_what_waiting_does_not_mend_ends_the_program_in_one_line(
    nothing: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    said: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        reporter().run()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


@pytest.mark.parametrize(
    ("error", "status"),
    [(CredentialsError("not taken"), 2), (StaleSession("stale_session", "another is registered", {}), 1)],
)
def test_each_error_that_ends_a_worker_is_a_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: CustodyError, status: int
) -> None:
    async def fails(self: Worker, **options: bool) -> None:
        raise error

    monkeypatch.setattr(Worker, "serve", fails)
    with pytest.raises(SystemExit) as ended:
        reporter().run()
    assert ended.value.code == status
    assert capsys.readouterr().err == f"w1: {error}\n"


async def test_credentials_that_are_not_taken_end_a_worker_and_a_client(broker: EmbeddedBroker) -> None:
    url = broker.url.replace("//", "//operator:wrong@")
    said = f"the broker at {broker.url} does not take the credentials"
    with pytest.raises(CredentialsError, match=said):
        await reporter(url=url).serve()
    with pytest.raises(CredentialsError, match=said):
        async with Client(url):
            pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("SUAGARBLED", "cannot be used|need pip install"),
        ("BEGIN NATS USER JWT\n", "does not take the credentials|need pip install"),
    ],
)
async def test_credentials_that_cannot_be_used_end_it_too(
    broker: EmbeddedBroker, tmp_path: Path, content: str, said: str
) -> None:
    write_secret(tmp_path / "creds", content)
    with pytest.raises(CredentialsError, match=said):
        async with Client(broker.url, credentials=tmp_path / "creds"):
            pass


async def test_credentials_of_a_directory_may_be_of_the_service_before_and_are_read_again(
    place: Place, client: Client, nothing: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CUSTODY_POOL", place.pool)
    leave_address(nothing, place.url)
    file = nothing / ".custody" / "credentials.json"
    right = file.read_text()
    write_secret(file, '{"operator": "of before"}')
    worker = reporter()
    async with place.working(worker):
        await eventually(lambda: any("Authorization Violation" in each for each in caplog.messages))
        write_secret(file, right)
        assert await (await client.submit("report")).result(RESULT_S) == "done"


async def test_once_it_was_connected_nothing_ends_it(broker: EmbeddedBroker) -> None:
    user = broker.credentials("operator")
    password = user["password"]
    link = Link(lambda: Address((broker.url,), user["user"], password, inbox_prefix="_INBOX"), "w1", may_fail=True)
    await link.open()
    await link.wait_up(RESULT_S)
    password = "of tomorrow"
    link.drop()
    await eventually(lambda: link.problem is not None)
    assert link.failed is None
    password = user["password"]
    await eventually(lambda: link.connections == 2)
    await link.close()


@pytest.mark.parametrize("raised", [AssertionError("within the library"), RuntimeError("within the library")])
async def test_whatever_the_library_raises_the_next_attempt_is_made(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    connect: Callable[..., object] = NatsClient.connect
    calls = 0

    async def fails_once(self: NatsClient, *given: object, **options: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise raised
        await connect(self, *given, **options)  # type: ignore[misc]

    monkeypatch.setattr(NatsClient, "connect", fails_once)
    user = broker.credentials("operator")
    link = Link(lambda: Address((broker.url,), user["user"], user["password"]), "w1", may_fail=True)
    await link.open()
    await link.wait_up(RESULT_S)
    assert calls == 2
    await link.close()


async def test_a_user_that_may_not_send_a_command_is_told_so(tmp_path: Path) -> None:
    options = BrokerOptions(sync_interval="2m", extra_users=(agent_user("default", "a1"),))
    async with EmbeddedBroker(tmp_path / "broker", options) as broker:
        user = broker.credentials("agent-a1")
        link = Link(lambda: Address((broker.url,), user["user"], user["password"]), "w1")
        await link.open()
        told = ""
        while "does not let this user send custody.default.agent.b2.register" not in told:
            # The first time the broker may be slower to say it than the command is to give up.
            with pytest.raises(NoAnswerError) as error:
                await Calls(link, "default").command("agent.b2.register", {}, limit_s=0.5)
            told = str(error.value)
        await link.close()
