"""`custody snapshot`, and that looks into the past use what it stored."""

from typing import Any

import pytest

from handlers.memory import memory as memory_module
from infra.service.fold_build import fold_build
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.infra.cli.conftest import Run
from tests.support.broker import Connect


@pytest.fixture
async def stored(ask: Run, at_broker: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Positions 1 to 3, a snapshot there, then 4."""
    monkeypatch.setenv("CUSTODY_WRITER_PASSWORD", at_broker.credentials("writer")["password"])
    await ask("submit", "T1")
    assert (await ask("snapshot", "--json")).json["position"] == 3
    await ask("submit", "T2")
    return ask


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The positions that were folded."""
    positions: list[int] = []
    fold = memory_module.Memory.fold

    def counting(self: memory_module.Memory, messages: Any, seen: Any = None) -> None:
        positions.extend(message.position for message in messages)
        fold(self, messages, seen)

    monkeypatch.setattr(memory_module.Memory, "fold", counting)
    return positions


async def test_the_past_is_rebuilt_from_the_nearest_snapshot(stored: Run, folded: list[int]) -> None:
    for arguments, found in ((["at", "4"], [4]), (["at", "3"], []), (["at", "2"], [1, 2]), (["replay"], [4])):
        folded.clear()
        result = await stored(*arguments, "--json")
        assert folded == found, arguments
        assert result.err == ""
    assert [each["task_id"] for each in (await stored("at", "4", "--json")).json["tasks"]["tasks"]] == ["T1", "T2"]


async def test_the_next_one_builds_on_it(stored: Run, folded: list[int]) -> None:
    assert (await stored("snapshot")).out.startswith("snapshot of position 4: ")
    assert 3 not in folded


async def test_a_corrupt_one_is_ignored_with_a_warning(
    stored: Run, folded: list[int], connect: Connect, pool: str
) -> None:
    client = await connect("writer")
    await client.jetstream().publish(f"$KV.CUSTODY_SNAPSHOTS_{pool}.{fold_build()}.3.0", b"junk")
    result = await stored("at", "4", "--json")
    assert folded == [1, 2, 3, 4]
    assert result.err == "custody: the snapshot at position 3 is ignored: it has no header\n"
    assert result.json["position"] == 4


async def test_an_empty_or_missing_log_is_one_line(run: Run, pool: str, at_broker: Any) -> None:
    result = await run("snapshot")
    assert result.status in {1, 3}
    assert result.err.count("\n") == 1


async def test_verify_never_uses_one(stored: Run, folded: list[int]) -> None:
    report = (await stored("verify", "--json")).json
    assert (report["ok"], report["events"], report["compared_at"]) == (True, 4, 4)
    assert folded == [1, 2, 3, 4]


async def test_a_service_starts_from_it(stored: Run, folded: list[int], service: PoolServer, at_broker: Any) -> None:
    await service.stop()
    folded.clear()
    again = PoolServer(Settings(), at_broker.url)
    await again.start(at_broker.auth)
    try:
        assert folded[:1] == [4]
        assert again.pool.memory.state.tasks.keys() == {"T1", "T2"}
    finally:
        await again.stop()
