"""A rebuild: another generation beside the one that is read, and readers switched over in one transaction."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import inspect, text

from handlers.ports import NewMessage
from handlers.projector.read_model import OutdatedError, RebuiltError, Watermark
from infra.sql import generations as gen
from infra.sql.sql_read_model import SqlReadModel
from projections.read_models import tables
from projections.read_models.table_projection import TableChanges
from tests.infra.sql.conftest import Site


async def spoil(site: Site) -> None:
    """Let a row be wrong."""
    statement = text("UPDATE custody_g1_tasks SET title = 'wrong' WHERE task_id = 'done'")
    await site.read(lambda connection: connection.execute(statement))


async def generations(site: Site) -> list[gen.Generation]:
    found: list[gen.Generation] = await site.read(gen.list_generations)
    return found


async def names(site: Site) -> list[str]:
    found: list[str] = await site.read(lambda connection: inspect(connection).get_table_names())
    return sorted(found)


async def test_readers_keep_the_old_rows_until_the_new_ones_have_caught_up(site: Site) -> None:
    await site.catch_up()
    await spoil(site)
    model = site.model(rebuild=True)
    before = await model.watermark()
    assert before == Watermark()
    assert (await site.contents())["tasks"]["done"][7] == "wrong"
    await site.catch_up(model)
    assert await site.contents() == site.expected()
    assert [(each.number, each.status) for each in await generations(site)] == [(2, gen.LIVE)]
    assert [each for each in await names(site) if "g1" in each] == []


async def test_the_first_rebuild_is_a_beginning(site: Site) -> None:
    await site.catch_up(site.model(rebuild=True))
    assert [(each.number, each.status) for each in await generations(site)] == [(1, gen.LIVE)]
    assert await site.contents() == site.expected()


async def test_it_never_switches_to_less_than_readers_have(site: Site, history: list[NewMessage]) -> None:
    site.log.truncate_to(20)
    await site.catch_up()
    model = site.model(rebuild=True)
    await site.clock.finish(asyncio.ensure_future(_to(site, model, 10)))
    readers = await model.finish_catch_up()
    assert readers is not None
    assert readers.position == 20
    site.log.append_foreign(*history[20:])
    await site.catch_up(model)
    assert await site.contents() == site.expected()


@pytest.mark.parametrize("goes_on", [False, True], ids=["and ends there", "and went on otherwise, further than before"])
async def test_a_rebuild_ends_after_the_restore_of_an_older_copy_of_the_log(
    site: Site, history: list[NewMessage], *, goes_on: bool
) -> None:
    site.log.truncate_to(20)
    await site.catch_up()
    site.log.truncate_to(10)
    if goes_on:
        other = [each._replace(headers={"Custody-Hash": f"{number:064}"}) for number, each in enumerate(history[10:30])]
        site.log.append_foreign(*other)
    with pytest.raises(OutdatedError):
        await site.catch_up()
    await site.catch_up(site.model(rebuild=True))
    assert await site.contents() == site.expected()
    assert await site.position() == len(site.log.messages)


async def _to(site: Site, model: SqlReadModel, position: int) -> None:
    """Bring a model to a position and no further."""
    projector = site.projector(model, max_events=position)
    original = model.write

    async def write(*arguments: Any) -> None:
        await original(*arguments)
        projector.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "write", write)
        await projector.run(follow=False)
    assert projector.watermark.position == position


async def test_a_rebuild_that_was_broken_off_is_gone_on_with(site: Site) -> None:
    await site.catch_up()
    await _to(site, site.model(rebuild=True), 10)
    projector = await site.catch_up(site.model(rebuild=True))
    assert projector.written == len(site.log.messages) - 10
    assert await site.contents() == site.expected()


async def test_one_that_was_begun_in_another_version_is_begun_anew(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.catch_up()
    await _to(site, site.model(rebuild=True), 10)
    monkeypatch.setattr(tables, "VERSION", 2)
    monkeypatch.setattr("infra.sql.sql_read_model.VERSION", 2)
    projector = await site.catch_up(site.model(rebuild=True))
    assert projector.written == len(site.log.messages)
    assert [(each.number, each.version) for each in await generations(site)] == [(2, 2)]


async def test_the_running_projector_goes_over_to_the_new_generation(site: Site, history: list[NewMessage]) -> None:
    site.log.truncate_to(20)
    running = site.model()
    projector = await site.catch_up(running)
    await site.catch_up(site.model(rebuild=True))
    site.log.append_foreign(*history[20:])
    await site.clock.finish(asyncio.ensure_future(projector.run(follow=False)))
    assert await site.contents() == site.expected()
    assert projector.watermark.position == len(history)
    assert [each.number for each in await generations(site)] == [2]
    assert site.told == ["it was rebuilt beyond position 20: switching to the rebuilt one"]


async def test_tables_of_another_log_are_replaced_by_a_rebuild(site: Site) -> None:
    await site.catch_up()
    other = [each._replace(headers={"Custody-Hash": "1" * 64}) for each in site.log.messages]
    site.log.truncate_to(0)
    site.log.append_foreign(*(NewMessage(each.subject, each.body, each.headers) for each in other))
    with pytest.raises(OutdatedError):
        await site.catch_up()
    await site.catch_up(site.model(rebuild=True))
    assert await site.contents() == site.expected()
    assert await site.position() == len(site.log.messages)


async def test_what_was_granted_on_a_view_and_what_stands_on_it_stays(site: Site) -> None:
    await site.catch_up()
    await site.read(lambda connection: connection.execute(text("CREATE VIEW mine AS SELECT task_id FROM tasks")))
    await site.catch_up(site.model(rebuild=True))
    ids = await site.read(lambda connection: connection.execute(text("SELECT task_id FROM mine")).scalars().all())
    assert sorted(ids) == sorted(site.expected()["tasks"])


async def test_tables_still_being_read_are_dropped_by_the_next_rebuild(site: Site) -> None:
    await site.catch_up()
    on_table = "CREATE VIEW mine AS SELECT task_id FROM custody_g1_tasks"
    await site.read(lambda connection: connection.execute(text(on_table)))
    if "postgresql" in site.url:
        await site.catch_up(site.model(rebuild=True))
        assert [each.status for each in await generations(site)] == [gen.RETIRED, gen.LIVE]
        await site.read(lambda connection: connection.execute(text("DROP VIEW mine")))
    await site.catch_up(site.model(rebuild=True))
    assert [each.status for each in await generations(site)] == [gen.LIVE]
    assert await site.contents() == site.expected()


async def test_nothing_is_written_into_a_retired_generation(site: Site) -> None:
    model = site.model()
    watermark = await model.watermark()
    await site.read(lambda connection: gen.set_status(connection, 1, gen.RETIRED))
    with pytest.raises(RebuiltError):
        await model.write(TableChanges({}, []), watermark, watermark)


LOSSES = {
    "a table": ("DROP VIEW tasks", "DROP TABLE custody_g1_tasks"),
    "the register": ("DROP VIEW custody_position", "DROP TABLE custody_generations"),
    "the register's row": ("DELETE FROM custody_generations",),
    "everything but the events": (
        *("DROP VIEW custody_position", "DROP TABLE custody_generations"),
        *(f"DROP VIEW {name}" for name in ("tasks", "leases", "agents", "steals")),
        *(f"DROP TABLE custody_g1_{name}" for name in ("tasks", "leases", "agents", "steals")),
    ),
}


async def lose(site: Site, what: str) -> None:
    def execute(connection: Any) -> None:
        for statement in LOSSES[what]:
            connection.execute(text(statement))

    await site.read(execute)


@pytest.mark.parametrize("what", LOSSES)
async def test_what_was_dropped_is_said_until_a_rebuild(site: Site, history: list[NewMessage], what: str) -> None:
    site.log.truncate_to(20)
    running = site.model()
    projector = await site.catch_up(running)
    await lose(site, what)
    with pytest.raises(OutdatedError, match="is gone"):
        await running.ensure_kept()
    site.log.append_foreign(*history[20:])
    with pytest.raises(OutdatedError, match=r"is gone|no such table|does not exist"):
        await site.clock.finish(asyncio.ensure_future(projector.run(follow=False)))
    with pytest.raises(OutdatedError, match="is gone"):
        await site.catch_up()
    await site.catch_up(site.model(rebuild=True))
    assert await site.contents() == site.expected()
    assert not [each for each in await names(site) if "_g1_" in each]
    await site.catch_up()


async def test_a_view_that_was_dropped_is_made_again(site: Site) -> None:
    await site.catch_up()
    await site.read(lambda connection: connection.execute(text("DROP VIEW leases")))
    await site.catch_up()
    assert await site.contents() == site.expected()
