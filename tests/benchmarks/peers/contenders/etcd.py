"""Leases as keys in etcd: a renewal is a transaction that compares the token and puts the new end."""

from __future__ import annotations

import time
from typing import Any

import aetcd

from tests.benchmarks.peers.contenders.contract import TERM_S


async def open_contender(address: dict[str, Any]) -> EtcdKeys:
    """Connect."""
    client = aetcd.Client(host=address["host"], port=address["port"], timeout=60)
    await client.connect()
    return EtcdKeys(client)


class EtcdKeys:
    """What of a LeaseStore renewals need. etcd's own leases are no peer: keeping one alive is not on disk."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._held = 0

    async def staff(self, workers: int) -> None:
        pass

    async def hold(self, count: int) -> None:
        for number in range(self._held, count):
            await self._client.put(f"token/{number}".encode(), str(number).encode())
        self._held = count

    async def renew(self, number: int) -> None:
        number %= self._held
        due = str(time.time() + TERM_S)
        renewed, _ = await self._client.transaction(
            compare=[self._client.transactions.value(f"token/{number}".encode()) == str(number).encode()],
            success=[self._client.transactions.put(f"due/{number}".encode(), due.encode())],
            failure=[],
        )
        if not renewed:
            raise RuntimeError(f"{number} was lost")

    async def close(self) -> None:
        await self._client.close()
