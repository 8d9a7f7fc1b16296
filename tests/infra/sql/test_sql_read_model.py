"""Tables in a real database: they are the fold of the log, whatever breaks between two events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from handlers.ports import NewMessage
from handlers.projector.read_model import (
    OutdatedError,
    ReadModelError,
    ReadModelUnavailableError,
    Watermark,
    WatermarkMovedError,
)
from infra.sql import generations as gen
from infra.sql.sql_read_model import SqlReadModel
from projections.read_models import tables
from projections.read_models.table_projection import TableChanges
from tests.infra.sql.conftest import Site, history_of


async def test_the_tables_are_the_fold_of_the_log(site: Site) -> None:
    await site.catch_up()
    assert await site.contents() == site.expected()
    assert await site.position() == len(site.log.messages)


@pytest.mark.parametrize("name", ["agents", "pool"])
async def test_so_they_are_for_agents_steals_and_the_pool(url: str, name: str) -> None:
    site = Site(url, history_of(name))
    await site.catch_up()
    assert await site.contents() == site.expected()
    await site.close()


async def test_a_restart_goes_on_from_the_watermark(site: Site, history: list[NewMessage]) -> None:
    site.log.truncate_to(0)
    written = 0
    for start in range(0, len(history), 9):
        site.log.append_foreign(*history[start : start + 9])
        written += (await site.catch_up()).written
        assert await site.contents() == site.expected()
    assert written == len(history)


@pytest.mark.parametrize("failing", [2, 5])
async def test_a_commit_that_fails_leaves_rows_and_watermark_as_they_were(site: Site, failing: int) -> None:
    model = site.model()
    commits = 0

    def fail(_connection: object) -> None:
        nonlocal commits
        commits += 1
        if commits == failing:
            raise OperationalError("COMMIT", {}, Exception("the server went away"))

    event.listen(Engine, "commit", fail)
    try:
        projector = await site.catch_up(model)
    finally:
        event.remove(Engine, "commit", fail)
    assert commits > failing
    assert await site.contents() == site.expected()
    assert projector.written == len(site.log.messages)


class LosesAnswers(SqlReadModel):
    """Its n-th write is committed, and the answer is lost."""

    losing = 0

    async def write(self, *args: Any) -> None:
        await super().write(*args)
        self.losing -= 1
        if self.losing == 0:
            raise ReadModelUnavailableError("no answer to COMMIT")


@pytest.mark.parametrize("losing", [1, 4])
async def test_a_commit_whose_answer_is_lost_is_found_out(site: Site, losing: int) -> None:
    model = LosesAnswers(site.database(), "default", site.clock)
    model.losing = losing
    await site.catch_up(model)
    assert await site.contents() == site.expected()
    assert [each.partition(",")[0] for each in site.told] == [
        "no answer to COMMIT; trying again",
        "it works again",
    ]


@pytest.mark.parametrize("batch", [1, 5])
async def test_a_projector_that_is_killed_between_two_writes_leaves_a_whole_prefix(site: Site, batch: int) -> None:
    for killed_after in range(1, len(site.log.messages), 6):
        database = site.database()
        model = SqlReadModel(database, "default", site.clock)
        working = asyncio.ensure_future(site.projector(model, max_events=batch).run(follow=False))
        while not working.done() and await _position(site) < killed_after:  # noqa: ASYNC110 # as a reader sees it
            await asyncio.sleep(0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await database.close()
        assert await site.contents() == site.expected(await site.position())
    await site.catch_up()
    assert await site.contents() == site.expected()


async def _position(site: Site) -> int:
    try:
        return await site.position()
    except (ReadModelError, ReadModelUnavailableError):
        return 0


async def test_two_projectors_write_each_event_once(site: Site) -> None:
    one, other = site.projector(max_events=1), site.projector(max_events=2)
    await site.clock.finish(asyncio.ensure_future(_both(one.run(follow=False), other.run(follow=False))))
    assert await site.contents() == site.expected()
    assert one.written + other.written == len(site.log.messages)


async def _both(*works: Awaitable[None]) -> None:
    await asyncio.gather(*works)


async def test_who_writes_from_a_watermark_that_moved_writes_nothing(site: Site) -> None:
    stale = site.model()
    before = await stale.watermark()
    await site.catch_up()
    with pytest.raises(WatermarkMovedError):
        await stale.write(TableChanges({}, []), before, before._replace(position=1))
    assert await site.contents() == site.expected()


async def test_another_pools_tables_are_refused(site: Site) -> None:
    await site.catch_up()
    with pytest.raises(ReadModelError, match="pool default is kept there, not other: give each pool a database"):
        await site.model(pool="other").watermark()


async def test_another_pools_tables_are_refused_to_a_rebuild_too(site: Site) -> None:
    await site.catch_up()
    with pytest.raises(ReadModelError, match="pool default is kept there, not other"):
        await site.model(pool="other", rebuild=True).watermark()


async def test_tables_of_another_version_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.catch_up()
    monkeypatch.setattr(tables, "VERSION", 2)
    with pytest.raises(OutdatedError, match="its tables are of version 1, and this is version 2"):
        await site.model().watermark()


async def test_a_log_that_was_rewritten_is_refused(site: Site, history: list[NewMessage]) -> None:
    await site.catch_up()
    site.log.truncate_to(len(history) - 1)
    with pytest.raises(OutdatedError, match=f"it stands at position {len(history)}, and the log ends at"):
        await site.catch_up()
    site.log.append_foreign(history[3])
    with pytest.raises(OutdatedError, match="the log was rewritten: at position"):
        await site.catch_up()
    site.log.truncate_to(0)
    site.log.append_foreign(*history_of("agents"))
    with pytest.raises(OutdatedError, match="it was made from another log than the one that the pool has now"):
        await site.catch_up()


async def test_a_name_that_is_taken_is_refused(site: Site) -> None:
    await site.read(lambda connection: connection.execute(text("CREATE TABLE leases (x INTEGER)")))
    with pytest.raises(ReadModelError, match="something else named leases: give a database or a schema of its own"):
        await site.model().watermark()


async def test_what_every_fold_skips_is_counted_and_shown(site: Site, history: list[NewMessage]) -> None:
    site.log.append_foreign(NewMessage("custody.default.evt.task.T1.junk", b"\xffjunk"), history[-1])
    projector = await site.catch_up()
    assert projector.watermark.skipped == 2
    events = (await site.contents())["events"]
    reasons = [events[position][-2] for position in sorted(events)]
    assert [each is None for each in reasons] == [True] * len(history) + [False, False]


async def test_many_that_begin_at_once_wait_for_each_other(site: Site) -> None:
    watermarks = await asyncio.gather(*(site.model().watermark() for _ in range(6)))
    assert watermarks == [Watermark()] * 6
    assert len(await site.read(gen.list_generations)) == 1
