"""Ports of the loopback interface."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOWEST = 20_000
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The ports that Linux gives to whoever asks for any: to servers, and to each connection of a client."""
_handed_out: set[int] = set()


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections within: it is taken, so that no other process comes to listen there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def free_port() -> int:
    """Return a port for a server that is yet to start, or starts again: one that the system gives to nobody else."""
    first_given = int(_GIVEN.read_text().split()[0]) if _GIVEN.exists() else 0
    choice = random.SystemRandom()
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", choice.randrange(_LOWEST, first_given) if first_given > _LOWEST else 0))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
        if port not in _handed_out:
            _handed_out.add(port)
            return port
