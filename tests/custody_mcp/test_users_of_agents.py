"""A worker as its own user of the broker: it may send its commands and hear the answers, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from custody_client import Client
from custody_mcp import asking
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import agent_user
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.client.conftest import Place
from tests.custody_mcp.conftest import beside


@pytest.fixture
async def urls(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The address of a served pool, for each user."""
    options = BrokerOptions(sync_interval="2m", extra_users=(agent_user("default", "ada"),))
    async with EmbeddedBroker(tmp_path / "broker", options) as broker:
        server = PoolServer(Settings(pool="default"), broker.url)
        await server.start(broker.auth, sync_interval="2m")
        yield {
            user: broker.url.replace("//", f"//{user}:{broker.credentials(user)['password']}@")
            for user in ("operator", "agent-ada")
        }
        await server.stop()


async def test_tools_and_the_own_hand_off_work_and_questions_get_no_answer(
    urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = None
    async with Client(urls["operator"]) as client, beside(Place(urls["agent-ada"], "default", nothing)) as model:
        task = await client.submit(task_id="T1")
        await model.claimed()
        await model.call("report", percent=10)
        assert "You hold task T1" in await model.read("custody://task/T1/handoff")
        monkeypatch.setattr(asking, "ANSWER_S", 0.2)
        with pytest.raises(MCPError, match="Custody gives no answer"):
            await model.read("custody://task/T1")
        with pytest.raises(MCPError, match="Custody gives no answer"):
            await model.read("custody://task/T1/history")
        await model.call("finish", result=1)
        assert await task.result(60) == 1
