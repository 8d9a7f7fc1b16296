"""The end of a log in the data directory at every append: in place, without waiting for the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.log_end import LogEnd, LogEndStoreError, decode, encode
from infra.service.latest_end_file import LatestEndFile

POOL = "default"
END = LogEnd("first", 7, "seventh", 1_007)


async def end_in(directory: Path) -> LogEnd | None:
    document = await LatestEndFile(directory, POOL).read()
    return None if document is None else decode(document, POOL)


async def test_every_position_replaces_the_one_before_it(tmp_path: Path) -> None:
    store = LatestEndFile(tmp_path / "data", POOL)
    assert await store.read() is None
    store.note(6, "sixth")
    assert await end_in(tmp_path / "data") is None, "it is not known yet which log it is"
    await store.write(encode(END, POOL))
    assert await end_in(tmp_path / "data") == END
    for position in (123_456, 8):
        store.note(position, "next")
        assert await end_in(tmp_path / "data") == LogEnd("first", position, "next", position + 1_000)
    store.note(9, None)
    assert (await end_in(tmp_path / "data") or END).position == 8
    await store.write(encode(END._replace(may_reach=7), POOL))
    assert await end_in(tmp_path / "data") == END._replace(may_reach=7), "a stop is exact"
    store.close()
    store.close()


async def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    store = LatestEndFile(tmp_path, POOL)
    await store.write(encode(END, POOL))
    assert (tmp_path / f"log-end-{POOL}.latest.json").stat().st_mode & 0o777 == 0o600
    store.close()


async def test_what_cannot_be_written_is_said_when_it_is_written_and_never_when_it_is_noted(tmp_path: Path) -> None:
    store = LatestEndFile(tmp_path / "data", POOL)
    (tmp_path / "data").write_text("no directory")
    with pytest.raises(LogEndStoreError, match="File exists"):
        await store.write(encode(END, POOL))
    (tmp_path / "data").unlink()
    await store.write(encode(END, POOL))
    store.close()
    store.note(8, "eighth")


async def test_what_cannot_be_read_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / f"log-end-{POOL}.latest.json").mkdir()
    assert await LatestEndFile(tmp_path, POOL).read() is None
    assert "is not used" in caplog.text
