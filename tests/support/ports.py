"""Ports of the loopback interface that a test gives to a program before the program listens there."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOST = "127.0.0.1"
_LOWEST = 20_000
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The ports that Linux gives to whoever asks for any: to servers, and to each connection of a client."""
_handed_out: set[int] = set()


@contextmanager
def reserved_port() -> Iterator[int]:
    """Hold a free port for programs that a test starts within this context; connections to it are refused until then.

    On Linux, servers that set SO_REUSEADDR, as all do that are to be restarted, may listen on a port to which another
    such socket is bound that does not listen; and the system gives it to nobody who asks for any port. Elsewhere the
    port is only one that was free.
    """
    with socket.socket() as holder:
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((_HOST, 0))
        port = int(holder.getsockname()[1])
        if sys.platform != "linux":
            holder.close()
        yield port


def free_port() -> int:
    """Return a port for a server that starts and ends as it likes: one that the system gives to nobody else."""
    first_given = int(_GIVEN.read_text().split()[0]) if _GIVEN.exists() else 0
    # Of the system's randomness: other test processes may have been given the same seed.
    choice = random.SystemRandom()
    while True:
        with socket.socket() as probe:
            try:
                probe.bind((_HOST, choice.randrange(_LOWEST, first_given) if first_given > _LOWEST else 0))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
        if port not in _handed_out:
            _handed_out.add(port)
            return port
