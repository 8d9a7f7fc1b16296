"""A log that is deleted, emptied or replaced: under a running service, and between two starts."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.broker.embedded import EmbeddedBroker
from tests.support.until import until
from tests.system.caller import Caller
from tests.system.processes import Service, access, client, delete_log, operator, serve
from tests.system.projectors import ran
from tests.system.streams import last_position

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

POOL = "default"


def gone(broker: EmbeddedBroker, position: int) -> str:
    return (
        f"custody: the broker at {broker.url} has no log of pool {POOL}, and it was served before, up to position "
        f"{position}: restore it with `custody import`, or begin with another log by --new-log"
    )


async def test_a_log_that_is_deleted_under_a_service_is_said_and_no_new_one_is_opened(
    users_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    async with serve(users_broker, tmp_path) as service, operator(users_broker) as nc:
        await service.ready()
        # Nothing is held, so that a machine that stands still is no outage, and adds nothing behind the export.
        await Caller(nc, POOL).done("ops.submit", task_id="T1")
        assert (await ran(users_broker, tmp_path, "export", "log.custody"))[0] == 0
        end = await last_position(nc, POOL)
        await delete_log(users_broker)
        await service.line(r" CRITICAL .*the log of pool default is gone .*custody import.*--new-log")
        assert await service.stop() == 0
        for _ in range(2):
            await service.start()
            assert await service.ended() == 1
            assert service.logged[-1] == gone(users_broker, end)
        assert await ran(users_broker, tmp_path, "import", "log.custody") == (0, "")
        await service.start()
        await service.ready()
        assert (await Caller(nc, POOL).done("query.task", {"task_id": "T1"}))["status"] == "queued"
        assert not any("Traceback" in line for line in service.logged)


async def test_a_service_goes_on_when_its_log_is_restored(users_broker: EmbeddedBroker, tmp_path: Path) -> None:
    async with serve(users_broker, tmp_path) as service, operator(users_broker) as nc:
        await service.ready()
        ask = Caller(nc, POOL)
        await ask.done("ops.submit", task_id="T1")
        assert (await ran(users_broker, tmp_path, "export", "log.custody"))[0] == 0
        await delete_log(users_broker)
        await service.line(r" CRITICAL .*the log of pool default is gone")
        assert await ran(users_broker, tmp_path, "import", "log.custody") == (0, "")
        await service.line("pool default has a log again")
        await ask.done("ops.submit", {"task_id": "T2"})
        assert (await ask.done("query.task", {"task_id": "T1"}))["status"] == "queued"


async def test_a_new_log_is_opened_when_it_is_meant(users_broker: EmbeddedBroker, tmp_path: Path) -> None:
    async with serve(users_broker, tmp_path) as service:
        await service.ready()
        assert await service.stop() == 0
    await delete_log(users_broker)
    async with serve(users_broker, tmp_path, "--new-log") as service:
        await service.ready()
        assert await service.stop() == 0
    async with serve(users_broker, tmp_path) as service:
        await service.ready()


async def test_another_log_in_the_place_is_refused(users_broker: EmbeddedBroker, tmp_path: Path) -> None:
    async with serve(users_broker, tmp_path) as service:
        await service.ready()
        assert (await ran(users_broker, tmp_path, "export", "first.custody"))[0] == 0
        assert await service.stop() == 0
    await delete_log(users_broker)
    async with serve(users_broker, tmp_path, "--new-log") as service:
        await service.ready()
        await delete_log(users_broker)
        # While it looks for its log, another one is put into its place.
        assert await ran(users_broker, tmp_path, "import", "first.custody") == (0, "")
        assert await service.ended() == 1
        assert "stepping down: another log took the place of the one of pool default" in service.logged[-1]
        assert not any("Traceback" in line for line in service.logged)
    async with serve(users_broker, tmp_path) as service:
        assert await service.ended() == 1
        assert "is another one than was served before, up to position" in service.logged[-1]


def lost(broker: EmbeddedBroker, ends_at: int, acknowledged: int) -> str:
    return (
        f"the log of pool {POOL} at {broker.url} ends at {ends_at}, and does not have what was acknowledged at "
        f"position {acknowledged}: it lost its tail, or is an older copy"
    )


async def test_an_older_copy_of_the_log_is_refused_until_the_loss_is_accepted(
    users_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    async with serve(users_broker, tmp_path) as service, operator(users_broker) as nc:
        await service.ready()
        ask = Caller(nc, POOL)
        assert (await ran(users_broker, tmp_path, "export", "old.custody"))[0] == 0
        given = await ask.lease(task_id="T1")
        assert await service.stop() == 0
        end = await last_position(nc, POOL)
        assert (await ran(users_broker, tmp_path, "export", "whole.custody"))[0] == 0
        await delete_log(users_broker)
        assert await ran(users_broker, tmp_path, "import", "old.custody") == (0, "")
        for _ in range(2):
            await service.start()
            assert await service.ended() == 1
            assert service.logged[-1] == (
                f"custody: {lost(users_broker, 2, end)}; restore it with `custody import`, or go on without what is "
                "lost by --accept-loss"
            )
        assert not any("Traceback" in line for line in service.logged)
        await delete_log(users_broker)
        assert await ran(users_broker, tmp_path, "import", "whole.custody") == (0, "")
        await service.start()
        await service.ready()
        assert await service.stop() == 0
        await delete_log(users_broker)
        assert await ran(users_broker, tmp_path, "import", "old.custody") == (0, "")

    async with serve(users_broker, tmp_path, "--accept-loss") as service, operator(users_broker) as nc:
        await service.ready()
        ask = Caller(nc, POOL)
        (loss,) = (await ask.done("query.health"))["tail_losses"]
        end = loss["acknowledged_to"]
        assert (loss["survived_to"], loss["filled_to"]) == (2, end)
        assert end >= given["token"]
        said = re.escape(lost(users_broker, 2, end))
        await service.line(rf" CRITICAL .*{said}; this is accepted, .* up to {end}$")
        again = await ask.lease(task_id="T1")
        assert again["token"] > given["token"]
        assert await service.stop() == 0
    assert await ran(users_broker, tmp_path, "verify") == (0, "")
    async with serve(users_broker, tmp_path) as service:
        await service.ready()


async def test_a_running_service_ends_when_its_log_comes_back_shorter(
    users_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    async with serve(users_broker, tmp_path) as service, operator(users_broker) as nc:
        await service.ready()
        assert (await ran(users_broker, tmp_path, "export", "old.custody"))[0] == 0
        await Caller(nc, POOL).lease(task_id="T1")
        end = await last_position(nc, POOL)
        await delete_log(users_broker)
        await service.line(r" CRITICAL .*the log of pool default is gone")
        assert await ran(users_broker, tmp_path, "import", "old.custody") == (0, "")
        assert await service.ended() == 1
        assert f"stepping down: the log ends at 2, and position {end} was acknowledged: " in service.logged[-1]
        await service.start()
        assert await service.ended() == 1
        assert "go on without what is lost by --accept-loss" in service.logged[-1]
        assert not any("Traceback" in line for line in service.logged)


async def refuses(url: str) -> bool:
    where = urlsplit(url)
    try:
        _, stream = await asyncio.open_connection(where.hostname, where.port)
    except ConnectionRefusedError:
        return True
    stream.close()
    return False


def put_back(stream: Path, then: Path) -> None:
    """Replace the stream's directory by an older copy."""
    shutil.rmtree(stream)
    shutil.copytree(then, stream)


def flip_a_bit(stream: Path, then: Path) -> None:
    """Damage the stream's only block in its middle: the broker drops what comes behind."""
    assert then != stream
    (block,) = (stream / "msgs").glob("*.blk")
    content = bytearray(block.read_bytes())
    content[len(content) // 2] ^= 0x40
    block.write_bytes(content)
    (stream / "msgs" / "index.db").unlink(missing_ok=True)


def drop_all(stream: Path, then: Path) -> None:
    """Drop every message, and what the broker remembers of them."""
    assert then != stream
    shutil.rmtree(stream / "msgs")


@pytest.mark.parametrize(
    ("damage", "or_is"),
    [
        pytest.param(put_back, "an older copy", id="what came last"),
        pytest.param(flip_a_bit, "an older copy", id="half"),
        pytest.param(drop_all, "a new one", id="everything"),
    ],
)
async def test_a_store_that_lost_something_is_filled_up_beyond_every_token(
    tmp_path: Path, damage: Callable[[Path, Path], None], or_is: str
) -> None:
    store = tmp_path / "data" / "broker" / "jetstream"
    async with Service("up", tmp_path) as service:
        await service.ready()
        assert await service.stop() == 0
        shutil.copytree(store, tmp_path / "then")
        await service.start()
        await service.ready()
        async with client(**access(tmp_path / "data")) as nc:
            given = [(await Caller(nc, POOL).lease(task_id=f"T{number}"))["token"] for number in range(9)]
        # Within a second: what was given since the end was last forced to the disk is covered, too.
        broker = json.loads((tmp_path / "data" / "broker.json").read_text())
        await service.kill_with_broker()
        # Until then it may write to its store.
        await until("the broker's end", lambda: refuses(broker["url"]), lambda: broker)
        (stream,) = store.rglob(f"CUSTODY_{POOL}")
        damage(stream, tmp_path / "then" / stream.relative_to(store))
        await service.start()
        assert await service.ended() == 1
        assert f"it lost its tail, or is {or_is}; restore it" in service.logged[-1]
    async with Service("up", tmp_path, "--accept-loss") as service:
        await service.ready()
        async with client(**access(tmp_path / "data")) as nc:
            ask = Caller(nc, POOL)
            assert (await ask.lease(task_id="T1"))["token"] > max(given)
            (loss,) = (await ask.done("query.health"))["tail_losses"]
            assert loss["filled_to"] >= max(given)


async def test_a_store_that_is_gone_is_remembered_by_the_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with Service("up", tmp_path) as service:
        await service.ready()
        async with client(**access(data)) as nc:
            await Caller(nc, POOL).lease(task_id="T1")
            end = await last_position(nc, POOL)
        assert await service.stop() == 0
        assert json.loads((data / f"log-end-{POOL}.json").read_text())["position"] == end
        shutil.rmtree(data / "broker" / "jetstream")
        await service.start()
        assert await service.ended() == 1
        assert f"has no log of pool default, and it was served before, up to position {end}: " in service.logged[-1]
        for name in (f"log-end-{POOL}.json", f"log-end-{POOL}.latest.json"):
            (data / name).write_text('{"version": 1, "pool": "default", "position": Infinity}')
        await service.start()
        await service.ready()
        await service.line(r"WARNING .*log-end-default.json remembers of the log's end is damaged")
