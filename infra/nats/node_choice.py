"""Which node of a cluster a service's connections use: all the same one, and none that is suspect.

A service with one connection on a node that lost its peers and another on a healthy one hears no agents and can yet
append. So its connections move together.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nats.aio.client import Server

SUSPECT_S = 30.0
"""How long a node is avoided while there is another one."""
RETRY_S = 0.25
"""Pause before a node is tried that could not be reached at the last attempt."""


class Placed(Protocol):
    """A connection."""

    @property
    def node(self) -> str | None:
        """`host:port` of the node that it is connected to; None while it is connected to none."""
        ...


class NodeChoice:
    """Shared by the connections that are to use the same node."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        """`seconds`: a steady clock."""
        self._seconds = seconds
        self._connections: list[Placed] = []
        self._suspect_until: dict[str, float] = {}

    def join(self, connection: Placed) -> None:
        """Have a connection choose together with those that joined before."""
        self._connections.append(connection)

    def suspect(self, node: str) -> None:
        """Avoid a node for a while."""
        self._suspect_until[node] = self._seconds() + SUSPECT_S

    def is_suspect(self, node: str) -> bool:
        """Return whether a node is to be avoided now."""
        return self._suspect_until.get(node, 0.0) > self._seconds()

    def select(self, servers: Sequence[Server], _info: Mapping[str, Any]) -> tuple[Server, float]:
        """Return the node to connect to, and the seconds to wait before that; called by the client library.

        None that is suspect, if there is another; of those the one with the fewest failures; then one that another
        connection uses; then the first by its address, so that connections without a node meet on the same one.
        """
        used = {connection.node for connection in self._connections}

        def rank(server: Server) -> tuple[bool, int, bool, str]:
            node = node_name(server.uri)
            return self.is_suspect(node), server.reconnects, node not in used, node

        best = min(servers, key=rank)
        return best, RETRY_S if best.reconnects else 0.0


def node_name(uri: Any) -> str:
    """Return `host:port` of a parsed address."""
    return f"{uri.hostname}:{uri.port}"
