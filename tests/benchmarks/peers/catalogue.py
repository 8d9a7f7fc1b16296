"""The contenders: what runs, where its callers run, and what a reader must know of its set-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Interpreter = Literal["project", "peers", "node"]
"""Whose libraries the callers need: the checkout's, those of `requirements.txt` here, or of `package.json`."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those that take turns."""

    name: str
    """Also its file in `contenders/`."""
    label: str
    server: str
    """The file in `servers/`."""
    interpreter: Interpreter
    durability: str
    """What is on disk when a caller is answered."""
    set_up: str
    """Processes, connections and settings."""
    keeps: str
    """What of Custody's work it does, and what not."""


CONTENDERS = (
    Contender(
        "custody",
        "Custody",
        "custody",
        "project",
        "every event: nats-server, `sync_interval: always`",
        "`custody up` (service and broker, two processes); all callers on one connection of nats-py",
        "leases, tokens, a log of every change with a hash chain",
    ),
    Contender(
        "bare",
        "bare loop",
        "bare",
        "project",
        "every request: nats-server, `sync_interval: always`",
        "the same broker and connection; a process that appends each request and replies",
        "nothing: checks, decides and remembers nothing",
    ),
    Contender(
        "postgres",
        "PostgreSQL",
        "postgres",
        "peers",
        "every commit: `synchronous_commit = on`",
        "a table, `FOR UPDATE SKIP LOCKED`, prepared statements; asyncpg, as many connections as callers, at most 32",
        "leases and tokens in a row; no history",
    ),
    Contender(
        "redis",
        "Redis",
        "redis",
        "peers",
        "every write: `appendfsync always`",
        "Lua scripts on hashes and sorted sets; redis-py with hiredis, as many connections as callers, at most 64",
        "leases and tokens in a hash; no history",
    ),
)

BY_NAME = {each.name: each for each in CONTENDERS}
