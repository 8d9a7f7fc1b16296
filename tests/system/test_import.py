"""`custody import` as a process that is killed half-way: what it leaves is refused until it is whole."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import nats
import pytest
from eventsourcing.persistence import OperationalError

from custody_eventsourcing.pools import PoolFactory
from handlers.ports import StoredMessage
from infra.broker.embedded import EmbeddedBroker
from infra.export.export_file import ExportReader, ExportWriter
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from tests.support.cases import case
from tests.system.processes import delete_log, serve
from tests.system.projectors import POOL, ran, story

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

FILE = "log.custody"
DYING = """
import os, signal
import infra.nats.importing as importing
from infra.cli.main import main
from infra.nats.event_log import NatsEventLog

importing.MAX_BATCH_MESSAGES, left = 20, {batches}

async def append(self, messages, **options):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return await appended(self, messages, **options)

appended, NatsEventLog.append = NatsEventLog.append, append
main()
"""
"""Dies by SIGKILL before the append that follows so many batches of 20."""
READERS = (
    ("verify",),
    ("tail", "--after", "0"),
    ("audit",),
    ("at", "1"),
    ("history", "T1"),
    ("export", "again.custody"),
    ("project", "--sql", "sqlite:///pool.db", "--once"),
    ("project", "--kv", "--once"),
    ("snapshot",),
    ("postmortem",),
    ("replay",),
)


@pytest.fixture
def messages(tmp_path: Path) -> list[StoredMessage]:
    """The messages of an export in the test's directory."""
    stored = [StoredMessage(number, *each) for number, each in enumerate(story(90), start=1)]
    export(tmp_path / FILE, stored)
    return stored


def export(path: Path, messages: list[StoredMessage]) -> None:
    writer = ExportWriter(path)
    writer.write(messages)
    writer.finish(pool=POOL, exported_at="2026-11-21T11:48:27.435708Z", software="test")
    writer.close()


async def stored(broker: EmbeddedBroker) -> list[StoredMessage]:
    connection = await connect(broker.url, name="test", auth=broker.auth("operator"))
    log = await NatsEventLog.open(connection, POOL)
    found = [message async for chunk in log.read(after=0, until=await log.last_position()) for message in chunk]
    await log.close()
    await connection.close()
    return found


def refusal(broker: EmbeddedBroker, held: int, last: int) -> str:
    return (
        f"stream CUSTODY_{POOL} at {broker.url} ends at position {held}, and the log that it was made for at {last}: "
        "an import is under way, or was broken off; `custody import` of the same file goes on with it"
    )


@pytest.mark.parametrize("batches", [0, 2], ids=["before its first message", "after some messages"])
async def test_what_an_import_left_that_was_killed_is_refused_until_it_is_whole(
    users_broker: EmbeddedBroker, tmp_path: Path, messages: list[StoredMessage], batches: int
) -> None:
    program = DYING.format(batches=batches)
    assert (await ran(users_broker, tmp_path, "import", FILE, program=program))[0] == -signal.SIGKILL
    said = refusal(users_broker, batches * 20, len(messages))
    for reader in READERS:
        with case(reader):
            assert await ran(users_broker, tmp_path, *reader) == (1, f"custody: {said}")
    async with serve(users_broker, tmp_path) as service:
        assert await service.ended() == 1
        assert service.logged[-1] == f"custody: {said}"
    with pytest.raises(OperationalError, match="an import is under way, or was broken off"):
        await pool_events(users_broker, timeout_s=3)  # for so long it waits for the rest

    assert await ran(users_broker, tmp_path, "import", FILE) == (0, "")
    assert await stored(users_broker) == messages
    assert len(await pool_events(users_broker)) == len(messages)
    assert await ran(users_broker, tmp_path, "verify") == (0, "")
    async with serve(users_broker, tmp_path) as service:
        await service.ready()


async def test_another_file_does_not_go_on_with_an_import(
    users_broker: EmbeddedBroker, tmp_path: Path, messages: list[StoredMessage]
) -> None:
    assert (await ran(users_broker, tmp_path, "import", FILE, program=DYING.format(batches=2)))[0] == -signal.SIGKILL
    export(tmp_path / "shorter.custody", messages[:60])
    status, said = await ran(users_broker, tmp_path, "import", "shorter.custody")
    assert (status, said) == (
        1,
        (
            f"custody: stream CUSTODY_{POOL} holds part of another import, of positions up to {len(messages)}: import "
            "that file, or delete the stream first"
        ),
    )
    # The file says the same, and the stream holds something else.
    root = messages[-1].headers["Custody-Hash"]
    export(tmp_path / "odd.custody", [*(each._replace(body=b"{}") for each in messages[:-1]), messages[-1]])
    assert ExportReader(tmp_path / "odd.custody").header.root == root
    status, said = await ran(users_broker, tmp_path, "import", "odd.custody")
    assert (status, said) == (
        1,
        (
            f"custody: stream CUSTODY_{POOL} holds another message at position 40 than this file: import the file that "
            "was begun with, or delete the stream first"
        ),
    )
    assert await ran(users_broker, tmp_path, "import", FILE) == (0, "")


async def test_two_imports_at_once_do_no_harm(
    users_broker: EmbeddedBroker, tmp_path: Path, messages: list[StoredMessage]
) -> None:
    ended = await asyncio.gather(*(ran(users_broker, tmp_path, "import", FILE) for _ in range(2)))
    assert 0 in {status for status, _ in ended}
    assert not any("Traceback" in said for _, said in ended)
    assert await stored(users_broker) == messages


async def pool_events(broker: EmbeddedBroker, *, timeout_s: float = 15) -> list[object]:
    factory = PoolFactory(
        {
            "PERSISTENCE_MODULE": "custody_eventsourcing.pools",
            "NATS_URL": broker.url,
            "NATS_USER": "operator",
            "NATS_PASSWORD": broker.credentials("operator")["password"],
            "NATS_TIMEOUT": str(timeout_s),
        }
    )
    try:
        recorder = factory.application_recorder()
        return list(await asyncio.to_thread(recorder.select_notifications, None, 1_000))
    finally:
        await asyncio.to_thread(factory.close)


ODD_SUBJECTS = ("a\u00a0b", "a\u2028b", "a.*", "a.>", "a*b", "a\x01b", "a\x85b", "a\u200bb")
ODD_HEADERS = ("Odd Name: v", "A: v\x01w", "A: 1\nB: 2", "\u00c4: \u00fc", ": x", "A:", "A: a\u00a0b")


async def publish_raw(broker: EmbeddedBroker, messages: list[tuple[str, str, bytes]]) -> None:
    """Publish subjects, header lines and bodies as no client library would."""
    user = broker.credentials("admin")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(broker.url.rpartition(":")[2]))
    options = {"user": user["user"], "pass": user["password"], "verbose": False, "pedantic": False, "headers": True}
    writer.write(b"CONNECT %b\r\n" % json.dumps(options).encode())
    for subject, header, body in messages:
        head = f"NATS/1.0\r\n{header}\r\n\r\n".encode() if header else b"NATS/1.0\r\n\r\n"
        size = b"%d %d" % (len(head), len(head) + len(body))
        writer.write(b"HPUB custody.%b.evt.%b %b\r\n%b%b\r\n" % (POOL.encode(), subject.encode(), size, head, body))
    writer.write(b"PING\r\n")
    while await reader.readline() != b"PONG\r\n":
        pass
    writer.close()
    client = await nats.connect(broker.url, **user)
    async with asyncio.timeout(20):
        # It is stored a moment later than it is taken.
        while (await client.jetstream().stream_info(f"CUSTODY_{POOL}")).state.messages <= len(messages):
            pass
    await client.close()


async def test_what_a_broker_took_is_exported_and_imported_again(users_broker: EmbeddedBroker, tmp_path: Path) -> None:
    assert (await restart(users_broker, tmp_path))[0] == 0
    await publish_raw(
        users_broker,
        [
            *((subject, "", b"x") for subject in ODD_SUBJECTS),
            *(("task.T1.odd", header, b"x") for header in ODD_HEADERS),
            ("task.T1.odd", "", b"\xff\x00"),
            ("task.T1.large", "", b"\x01" * 1_048_000),
            ("task.T1.large", "", b"x" * (1_048_576 - 60)),
        ],
    )
    before = await stored(users_broker)
    assert len(before) == 1 + len(ODD_SUBJECTS) + len(ODD_HEADERS) + 3
    assert await ran(users_broker, tmp_path, "export", "odd.custody") == (0, "")
    await delete_log(users_broker)
    assert await ran(users_broker, tmp_path, "import", "odd.custody") == (0, "")
    assert await stored(users_broker) == before


async def test_an_export_says_what_could_not_be_imported_again(users_broker: EmbeddedBroker, tmp_path: Path) -> None:
    assert (await restart(users_broker, tmp_path))[0] == 0
    await publish_raw(users_broker, [("task.T1.large", "", b"x" * (1_048_576 - len("NATS/1.0\r\n\r\n")))])
    why = (
        "a message of 1048608 bytes, headers included, is over the broker's 1048576: custody.default.evt.task.T1.large"
    )
    assert await ran(users_broker, tmp_path, "export", "large.custody") == (
        0,
        (
            "custody: warning: 1 of these could not be imported again at a broker with the same limits, the first at "
            f"position 2: {why}; the file can be read with --file"
        ),
    )
    assert (await ran(users_broker, tmp_path, "audit", "--file", "large.custody"))[0] == 0
    await delete_log(users_broker)
    status, said = await ran(users_broker, tmp_path, "import", "large.custody")
    assert (status, said) == (1, f"custody: position 2 cannot be imported there: {why}")
    assert "has no log" in (await ran(users_broker, tmp_path, "verify"))[1]


async def restart(broker: EmbeddedBroker, directory: Path) -> tuple[int, str]:
    """Import a log of one message."""
    export(directory / "one.custody", [StoredMessage(1, *story(1)[0])])
    return await ran(broker, directory, "import", "one.custody")
