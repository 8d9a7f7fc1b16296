"""Answers that another client sends, or has the broker send, where the service waits for its own."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import ADMIN
from tests.support.until import until
from tests.system.caller import Caller
from tests.system.processes import client, operator, serve
from tests.system.streams import read_log

if TYPE_CHECKING:
    from nats.aio.msg import Msg

pytestmark = pytest.mark.system

POOL = "default"
FORGED = (
    b'{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}',
    b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},"stream":"CUSTODY_default"}',
    b'{"error":{"code":503,"err_code":10023,"description":"insufficient resources"},"stream":"CUSTODY_default"}',
    b'{"error":{"code":"bad","err_code":[10071]}}',
    b'{"error":7}',
    b'{"error":{"code":Infinity,"err_code":NaN}}',
    b'{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","error":{"code":404,"err_code":10037}}',
    b'{"stream":"CUSTODY_default","seq":99999}',
    b'{"stream":"CUSTODY_other","seq":1}',
    b'{"stream":"CUSTODY_default","seq":true,"duplicate":true}',
    b"[" * 5_000,
    b"\xff\x00",
    b"",
)


async def test_no_forged_answer_to_an_append_is_believed_or_ends_the_service(tmp_path: Path) -> None:
    """The forger may subscribe to everything, so it hears each append, and answers it faster than a disk can."""
    options = BrokerOptions(extra_users=(ADMIN,))
    async with (
        EmbeddedBroker(tmp_path / "broker", options) as broker,
        serve(broker, tmp_path) as service,
        client(servers=broker.url, **broker.credentials("admin")) as forger,
        operator(broker) as nc,
    ):
        await service.ready()
        answers = itertools.cycle(FORGED)
        forged: list[bytes] = []

        async def forge(message: Msg) -> None:
            if message.reply:
                forged.append(next(answers))
                await forger.publish(message.reply, forged[-1])

        await forger.subscribe(f"custody.{POOL}.evt.>", cb=forge)
        await forger.flush()
        ask = Caller(nc, POOL)
        told: list[str] = []
        for number in range(3 * len(FORGED)):
            await ask.done("ops.submit", task_id=f"T{number}", title=str(number), command_id=str(number))
            told.append(f"task/T{number}")

        async def answered() -> bool:
            return len(forged) >= len(told)

        await until("an answer to each append", answered, lambda: len(forged))
        stored = [each.body["subject"] for each in await read_log(nc, POOL) if each.name == "task.submitted"]
        assert stored == told
        assert await service.stop() == 0
        assert not any("Traceback" in line for line in service.logged), service.logged
