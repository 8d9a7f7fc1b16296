"""Writes that a majority of the cluster confirms: proof that a connection's node reaches the others.

A node that lost its peers answers pings, passes messages between its own clients, and answers reads of streams that it
led. Only a write to a stream with copies on other nodes shows that it reaches them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from handlers.ports import LogUnavailableError
from infra.nats.buckets import ensure_bucket, reach_bucket
from infra.nats.jetstream_errors import (
    CLUSTER_NO_PEERS,
    CLUSTER_NOT_AVAILABLE,
    CLUSTER_NOT_LEADER,
    STREAM_NOT_FOUND,
    ApiError,
)
from infra.nats.stream import stream_name

if TYPE_CHECKING:
    from infra.nats.api import JetStreamApi

_TIMEOUT_S = 1.0
_SETTINGS: dict[str, Any] = {
    "description": "Proof that a Custody pool's service reaches the cluster: nothing in it is read",
    "storage": "memory",
    "discard": "old",
    "max_msgs_per_subject": 1,
    "allow_direct": True,
}
_TEMPORARY = {CLUSTER_NO_PEERS, CLUSTER_NOT_AVAILABLE, CLUSTER_NOT_LEADER}


class ReachUnknownError(Exception):
    """The broker does not take such a write at all."""


class ReachBucket:
    """A bucket in memory, with as many copies as the pool's log has."""

    def __init__(self, api: JetStreamApi, pool: str) -> None:
        self._api = api
        self._pool = pool
        self._bucket = reach_bucket(pool)
        self._subject = f"{self._bucket.prefix}reach"
        self._exists = False

    def is_at(self, subject: str) -> bool:
        """Return whether a subject, in lower case, is one that it needs."""
        return any(word.endswith(self._bucket.name.lower()) for word in subject.split("."))

    async def confirms(self) -> bool | None:
        """Write, and return whether that was confirmed in time; None if it would not show what the log reaches.

        So it is if the log has one copy only, or copies on other nodes than the bucket, or is missing: a new leader of
        a cluster may not know it yet. Raises ReachUnknownError.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if not self._exists and not await self._made():
                    return None
                self._exists = await self._written()
        except ApiError as error:
            if error.err_code == STREAM_NOT_FOUND:
                return None
            if error.err_code in _TEMPORARY:
                return False
            raise ReachUnknownError(str(error)) from error
        except (LogUnavailableError, TimeoutError):
            self._exists = False
        # A bucket that takes no write may have been deleted, or moved to other nodes.
        return self._exists

    async def _written(self) -> bool:
        try:
            await self._api.publish(self._subject, timeout_s=_TIMEOUT_S)
        except ApiError:
            return False
        return True

    async def _made(self) -> bool:
        """Create it, unless it exists; return whether it has copies where the log has them, and several."""
        await ensure_bucket(self._api, self._pool, self._bucket, _SETTINGS)
        log, own = await self._peers(stream_name(self._pool)), await self._peers(self._bucket.stream)
        return len(log) > 1 and own == log

    async def _peers(self, stream: str) -> set[str]:
        """Return the nodes with copies of a stream, none outside a cluster. Raises ApiError, LogUnavailableError."""
        cluster = (await self._api.call(f"STREAM.INFO.{stream}")).get("cluster")
        if not cluster:
            return set()
        if "leader" not in cluster:
            raise LogUnavailableError(f"{stream} has no leader")
        return {cluster["leader"], *(str(each.get("name")) for each in cluster.get("replicas") or ())}
