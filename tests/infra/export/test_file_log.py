"""The event log of an export answers as the log did that was exported."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from handlers.memory.positions import position_at, time_at
from handlers.ports import LogTruncatedError, NewMessage, StoredMessage
from infra.codec import CloudEventsCodec
from infra.export import file_log
from infra.export.export_file import ExportReader, ExportWriter
from infra.export.file_log import FileLog, matcher
from tests.support.memory_log import MemoryEventLog, matches
from tests.support.scenario import OPS, START, Scenario

CODEC = CloudEventsCodec("default")
LAST = 40


@pytest.fixture(scope="module")
def messages() -> list[StoredMessage]:
    """40 tasks, ten seconds apart; those of one five have the same time. Numbers 11 to 15 cannot be read."""
    s = Scenario()
    for number in range(LAST):
        s.at(number // 5 * 10).given(OPS, "submit", task_id=f"T{number % 3}-{number}")
    return [each._replace(body=b"?") if 11 <= each.position <= 15 else each for each in s.messages]


@pytest.fixture
def log(messages: list[StoredMessage], tmp_path: Path) -> FileLog:
    writer = ExportWriter(tmp_path / "log.gz")
    writer.write(messages)
    writer.finish(pool="default", exported_at="2026-11-21T08:00:00Z", software="")
    writer.close()
    return FileLog(ExportReader(tmp_path / "log.gz"))


@pytest.fixture
def original(messages: list[StoredMessage]) -> MemoryEventLog:
    return MemoryEventLog("default", [NewMessage(each.subject, each.body, each.headers) for each in messages])


async def read(log: FileLog, after: int, until: int) -> list[int]:
    return [message.position async for chunk in log.read(after=after, until=until) for message in chunk]


async def test_it_reads_exactly_a_range(log: FileLog, messages: list[StoredMessage]) -> None:
    for after, until in [(0, LAST), (0, 1), (LAST - 1, LAST), (7, 12), (9, 3), (LAST, LAST)]:
        assert await read(log, after, until) == list(range(after + 1, until + 1))
    assert [message async for chunk in log.read(after=0, until=LAST) for message in chunk] == messages
    with pytest.raises(LogTruncatedError, match="ends at position 40, before 41"):
        await read(log, 0, LAST + 1)


async def test_it_finds_single_messages(log: FileLog, original: MemoryEventLog) -> None:
    for position in (0, 1, 12, LAST, LAST + 1):
        assert await log.get(position) == await original.get(position)
    for subject in ("custody.default.evt.task.T0-0.submitted", "custody.default.evt.task.T0.submitted"):
        assert await log.last_by_subject(subject) == await original.last_by_subject(subject)
    assert await log.history("custody.default.evt.task.*.submitted") == await original.history("custody.>")
    filters = ["custody.default.evt.task.T0-0.>", "custody.default.evt.task.T1-4.submitted"]
    for after, until in ((0, LAST), (1, LAST + 1), (0, 1), (7, 3)):
        found = [m async for chunk in log.matching(filters, after=after, until=until) for m in chunk]
        assert found == [m async for chunk in original.matching(filters, after=after, until=until) for m in chunk]
    assert await log.last_matching("custody.default.evt.agent.>") == 0
    assert await log.last_matching("custody.default.evt.task.T1-4.>") == 5


@pytest.mark.parametrize("chunk", [4, 1_000])
async def test_times_lie_where_the_log_has_them(
    log: FileLog, original: MemoryEventLog, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_log, "CHUNK_MESSAGES", chunk)
    for seconds in (-1, 0, 1, 15, 20, 29, 30, 70, 100):
        at = START + timedelta(seconds=seconds)
        assert await log.position_at(at, CODEC) == await position_at(original, CODEC, at, first=1, last=LAST)
    for position in (1, 10, 11, 15, 16, LAST):
        assert await log.time_at(position, CODEC) == await time_at(original, CODEC, position)


@pytest.mark.parametrize("wanted", ["a.b.c", "a.*.c", "a.>", "*.*.*", "a.b", "a.b.c.>", ">", "a.*"])
def test_subjects_match_as_the_brokers_do(wanted: str) -> None:
    for subject in ("a.b.c", "a.b", "a", "a.x.c", "x.b.c", "a.b.c.d", "a..c", ""):
        assert matcher(wanted)(subject) == matches(wanted, subject), (wanted, subject)


async def test_it_is_never_ahead_of_its_reader_by_more_than_a_chunk(
    log: FileLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_log, "CHUNK_MESSAGES", 4)
    taken, original = [0], ExportReader.messages

    def counting(reader: ExportReader, **options: Any) -> Iterator[StoredMessage]:
        for message in original(reader, **options):
            taken[0] = message.position
            yield message

    monkeypatch.setattr(ExportReader, "messages", counting)
    async for chunk in log.read(after=0, until=LAST):
        assert taken[0] == chunk[-1].position
        assert len(chunk) <= 4
