"""The end of a log in the data directory at every append: in place, without waiting for the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.log_end import LogEnd, LogEndStoreError, decode, encode
from infra.service.latest_end_file import LatestEndFile
from infra.service.log_end_file import LogEndFile

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
    for position in (8, 123_456):
        store.note(position, "next")
        assert await end_in(tmp_path / "data") == LogEnd("first", position, "next", position + 1_000)
    store.note(123_457, None)
    assert (await end_in(tmp_path / "data") or END).position == 123_456
    stopped = LogEnd("first", 123_456, "next", 123_456)
    await store.write(encode(stopped, POOL))
    assert await end_in(tmp_path / "data") == stopped, "a stop is exact"
    store.close()
    store.close()


async def test_an_end_from_before_the_last_append_does_not_replace_it(tmp_path: Path) -> None:
    store = LatestEndFile(tmp_path, POOL)
    await store.write(encode(END, POOL))
    store.note(9, "ninth")
    await store.write(encode(LogEnd("first", 8, "eighth", 3_008), POOL))
    assert await end_in(tmp_path) == LogEnd("first", 9, "ninth", 3_009)
    await store.write(encode(END._replace(log_id="another"), POOL))
    assert await end_in(tmp_path) == END._replace(log_id="another")
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


@pytest.mark.parametrize("kind", [LatestEndFile, LogEndFile])
async def test_what_cannot_be_read_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[LatestEndFile | LogEndFile]
) -> None:
    for name in ("log-end-default.latest.json", "log-end-default.json"):
        (tmp_path / name).mkdir()
    for directory in (tmp_path, tmp_path / ("long" * 100)):
        caplog.clear()
        assert await kind(directory, POOL).read() is None
        assert "is not used" in caplog.text
