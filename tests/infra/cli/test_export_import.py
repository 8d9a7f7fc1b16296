"""A log to a file and back, and what is found in copies that were changed."""

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain.hash_chain import HASH_HEADER, chain_hash
from handlers.ports import StoredMessage
from infra.broker.embedded import EmbeddedBroker
from infra.export.export_file import ExportReader, ExportWriter
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.infra.cli.conftest import Run
from tests.support.broker import Connect

FILE = "log.gz"
Lines = list[dict[str, Any]]


@pytest.fixture
async def exported(ask: Run, at_broker: EmbeddedBroker, service: PoolServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Eight events in `log.gz`: a task in progress at 30 %, and one whose payload is no ASCII. The service is gone."""
    monkeypatch.setenv("CUSTODY_WRITER_PASSWORD", at_broker.credentials("writer")["password"])
    await ask("agent", "register", "a1", "--capability", "git")
    await ask("submit", "T1")
    await ask("agent", "claim", "a1")
    await ask("agent", "start", "a1", "T1", "--token", "5")
    await ask("agent", "progress", "a1", "T1", "--token", "5", "--percent", "30")
    await ask("submit", "T2", "--title", "Grüße \u2028 “✓”")
    await service.stop()
    assert (await ask("export", FILE)).lines[0].endswith("positions 1 to 8, exported to log.gz")
    return ask


async def stored(broker: EmbeddedBroker, pool: str) -> list[StoredMessage]:
    connection = await connect(broker.url, name="test", auth=broker.auth("operator"))
    log = await NatsEventLog.open(connection, pool)
    try:
        last = await log.last_position()
        return [message async for chunk in log.read(after=0, until=last) for message in chunk]
    finally:
        await log.close()
        await connection.close()


def read(name: str = FILE) -> Lines:
    return [json.loads(line) for line in gzip.decompress(Path(name).read_bytes()).splitlines()]


def read_bytes() -> bytes:
    return Path(FILE).read_bytes()


def write_bytes(data: bytes) -> None:
    Path(FILE).write_bytes(data)


def write(lines: Lines, name: str = FILE) -> None:
    Path(name).write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))


async def test_a_log_comes_back_as_it_was(
    exported: Run, at_broker: EmbeddedBroker, pool: str, connect: Connect
) -> None:
    before = await stored(at_broker, pool)
    await (await connect("admin")).jetstream().delete_stream(f"CUSTODY_{pool}")
    result = await exported("import", FILE, "--json")
    assert (result.json["pool"], result.json["first"], result.json["last"], result.json["events"]) == (pool, 1, 8, 8)
    assert await stored(at_broker, pool) == before
    assert result.json["root"] == before[-1].headers[HASH_HEADER]
    assert (await exported("verify", "--json")).json["ok"]
    assert {name for line in read()[1:] for name in line["headers"]} == {"Content-Type", HASH_HEADER}
    await exported("export", "again.gz")
    assert read("again.gz")[1:] == read()[1:]


async def test_an_imported_pool_is_served(
    exported: Run, at_broker: EmbeddedBroker, pool: str, connect: Connect, run: Run
) -> None:
    await (await connect("admin")).jetstream().delete_stream(f"CUSTODY_{pool}")
    await exported("import", FILE)
    server = PoolServer(Settings(), at_broker.url)
    await server.start(at_broker.auth)
    try:
        assert (await run("query", "task", "T2", "--json")).json["result"]["title"] == "Grüße \u2028 “✓”"
    finally:
        await server.stop()


async def test_a_log_that_begins_late_keeps_its_positions(
    exported: Run, at_broker: EmbeddedBroker, pool: str, connect: Connect, tmp_path: Path
) -> None:
    before = await stored(at_broker, pool)
    await (await connect("admin")).jetstream().delete_stream(f"CUSTODY_{pool}")
    part = ExportWriter(tmp_path / "part.gz")
    part.write(before[3:])
    part.finish(pool=pool, exported_at="", software="")
    part.close()
    await exported("import", "part.gz")
    assert await stored(at_broker, pool) == before[3:]
    assert (await exported("at", "8", "--json")).json["position"] == 8
    assert len((await exported("audit", "--from", "1", "--json")).lines) == 5
    assert "before the beginning of the log, 4" in (await exported_fails(exported, "at", "2"))


async def exported_fails(run: Run, *arguments: str) -> str:
    with pytest.raises(AssertionError) as failed:
        await run(*arguments)
    return str(failed.value)


async def test_a_place_that_is_not_empty_is_left_alone(exported: Run, run: Run, at_broker: Any, pool: str) -> None:
    before = await stored(at_broker, pool)
    result = await run("import", FILE)
    assert (result.status, result.out) == (1, "")
    assert result.err == f"custody: pool {pool} has a log already, up to position 8; an import needs an empty place\n"
    assert await stored(at_broker, pool) == before


async def test_another_pools_file_is_refused(exported: Run, run: Run, pool: str) -> None:
    result = await run("import", FILE, "--pool", "other")
    assert (result.status, result.err) == (
        1,
        f"custody: {FILE} is the log of pool {pool}, not of other: say --pool {pool}\n",
    )


async def test_a_file_that_is_there_is_not_replaced(exported: Run, run: Run) -> None:
    assert (await run("export", FILE)).err == f"custody: {FILE} is there already\n"
    assert "cannot write nowhere/a.gz" in (await run("export", "nowhere/a.gz")).err
    assert sorted(path.name for path in Path.cwd().glob("*")) == [FILE]


async def test_a_whole_file_is_in_order(exported: Run, pool: str) -> None:
    assert (await exported("verify", "--file", FILE)).lines[0] == f"{FILE}: in order"
    report = (await exported("verify", "--file", FILE, "--json")).json
    assert (report["ok"], report["pool"], report["position"], report["file_differences"]) == (True, pool, 8, [])


def changed(lines: Lines) -> None:
    lines[7]["body"] = lines[7]["body"].replace('"percent":30', '"percent":90')


def missing(lines: Lines) -> None:
    del lines[4]


def swapped(lines: Lines) -> None:
    lines[4], lines[5] = lines[5], lines[4]


def inserted(lines: Lines) -> None:
    lines.insert(4, dict(lines[4]))


def renumbered(lines: Lines) -> None:
    """Taken out, and the hole closed."""
    del lines[4]
    for number, line in enumerate(lines[1:], start=1):
        line["position"] = number


TAMPERED = [(changed, 7, "hash"), (missing, 4, "position"), (swapped, 4, "position"), (inserted, 4, "position"),
            (renumbered, 4, "hash")]  # fmt: skip


async def test_a_tampered_copy_is_found_out(exported: Run, run: Run) -> None:
    for change, position, rule in TAMPERED:
        lines = read()
        change(lines)
        write(lines, "copy.gz")
        result = await run("verify", "--file", "copy.gz")
        assert (result.status, result.lines[0]) == (1, "copy.gz: NOT in order"), change
        assert result.err == f"custody: first wrong position: {position}\n"
        assert f"position {position}: {rule}: " in result.out
        imported = await run("import", "copy.gz")
        assert (imported.status, imported.err.count("\n")) == (1, 1), change


async def test_a_copy_with_new_hashes_still_differs_from_its_header(exported: Run, run: Run) -> None:
    lines, tail = read(), "0" * 64
    changed(lines)
    for line in lines[1:]:
        tail = chain_hash(tail, line["position"], line["subject"], line["body"].encode())
        line["headers"][HASH_HEADER] = tail
    write(lines)
    result = await run("verify", "--file", FILE)
    assert (result.status, result.lines[0]) == (1, f"{FILE}: NOT in order")
    assert "its header says root " in result.out
    assert "is not what was exported: its header says root" in (await run("import", FILE)).err


def cut(data: bytes) -> bytes:
    return data[:-30]


def without_the_end(data: bytes) -> bytes:
    return gzip.compress(b"".join(gzip.decompress(data).splitlines(keepends=True)[:-2]))


async def test_a_copy_without_its_end_is_found_out(exported: Run, run: Run) -> None:
    write_bytes(without_the_end(read_bytes()))
    result = await run("verify", "--file", FILE)
    assert (result.status, result.lines[0]) == (1, f"{FILE}: NOT in order")
    assert "its header says last 8, and it is 6" in result.out
    assert "is not what was exported: its header says last 8, and it is 6" in (await run("import", FILE)).err


def with_a_newer_version(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data).replace(b'"version": 1', b'"version": 9', 1))


def with_an_odd_line(data: bytes) -> bytes:
    lines = gzip.decompress(data).splitlines(keepends=True)
    return gzip.compress(b"".join([*lines[:3], b'{"position": "x"}\n', *lines[4:]]))


FOREIGN: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda _: b"", "is no export of a log"),
    (lambda _: b"hello", "is no export of a log"),
    (lambda _: gzip.compress(b"hello"), "is no export of a log"),
    (lambda _: gzip.compress(b"[" * 60_000), "is no export of a log"),
    (lambda _: gzip.compress(b'{"format": "custody-export", "version": 1}\n'), "its header is incomplete"),
    (lambda data: data[:20], "is no export of a log"),
    (cut, "is damaged or cut short: "),
    (with_a_newer_version, "has format version 9; this software reads 1"),
    (with_an_odd_line, "line 4 is no message of a log"),
]


async def test_a_truncated_or_foreign_file_is_one_line(exported: Run, run: Run) -> None:
    data = read_bytes()
    for change, said in FOREIGN:
        write_bytes(change(data))
        for arguments in (["verify", "--file", FILE], ["import", FILE]):
            result = await run(*arguments)
            assert (result.status, result.out) == (1, ""), (change, arguments)
            assert said in result.err, (change, arguments)
            assert result.err.count("\n") == 1
    assert "cannot read none.gz: No such file" in (await run("verify", "--file", "none.gz")).err


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    odd = [StoredMessage(1, "custody.p.evt.task.T.odd", b"\xff\x00", {}), StoredMessage(2, "s", b"", {"A": "b"})]
    writer = ExportWriter(tmp_path / FILE)
    writer.write(odd)
    writer.finish(pool="p", exported_at="", software="")
    writer.close()
    reader = ExportReader(tmp_path / FILE)
    assert list(reader.messages()) == odd
    assert reader.differences == []
    assert base64.b64decode(read(str(tmp_path / FILE))[1]["body64"]) == b"\xff\x00"
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
