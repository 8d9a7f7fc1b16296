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
    callers: str = ""
    """The file in `contenders/`, where it is not named after the contender."""


LONG_LOGS = (100_000, 1_000_000, 10_000_000)
"""Events in a log before it is measured."""

RELAXED: tuple[tuple[str, str, Interpreter, str], ...] = (
    ("custody", "Custody", "project", "what is older than 2 minutes: nats-server's default"),
    ("postgres", "PostgreSQL", "peers", "what is older than about half a second: `synchronous_commit = off`"),
    ("redis", "Redis", "peers", "what is older than a second: `appendfsync everysec`, its default"),
)
"""Those that are measured again where an answer does not wait for the disk."""

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
        "custody_client",
        "Custody, client library",
        "custody",
        "project",
        "every event: nats-server, `sync_interval: always`",
        "`custody up`; one worker process of `custody_client` with as many slots as workers",
        "as Custody, and the library's beats and retries",
    ),
    Contender(
        "bare",
        "bare loop",
        "bare",
        "project",
        "every request: nats-server, `sync_interval: always`",
        "the same broker and connection; a process that appends what waits, several as one batch, and replies",
        "nothing: checks, decides and remembers nothing",
    ),
    Contender(
        "postgres",
        "PostgreSQL",
        "postgres",
        "peers",
        "every commit: `synchronous_commit = on`",
        "a table, `FOR UPDATE SKIP LOCKED`, prepared statements; asyncpg without resets, at most 32 connections",
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
    Contender(
        "etcd",
        "etcd",
        "etcd",
        "peers",
        "every transaction",
        "a cluster of one; a transaction that compares a token and puts a key; one channel of aetcd",
        "a renewal alone; no history",
    ),
    Contender(
        "bullmq",
        "BullMQ",
        "redis",
        "node",
        "every write: Redis, `appendfsync always`",
        "callers and one `Worker` with as much concurrency in one process of Node",
        "locks that it renews itself, progress in the job; no history",
    ),
    Contender(
        "celery",
        "Celery, Redis",
        "redis",
        "peers",
        "every write: Redis, `appendfsync always`",
        "one worker process with a pool of threads, `task_acks_late`, results in Redis",
        "late acknowledgement, progress as a state of the result; no leases",
    ),
    Contender(
        "celery_rabbitmq",
        "Celery, RabbitMQ",
        "rabbitmq",
        "peers",
        "every submit: RabbitMQ, durable queues, confirmed; not the states",
        "as Celery, results over RabbitMQ",
        "as Celery",
        callers="celery",
    ),
    Contender(
        "dbos",
        "DBOS",
        "postgres",
        "peers",
        "every commit: `synchronous_commit = on`",
        "one worker process with a thread for each workflow, at most 32 connections, a queue polled every 10 ms",
        "workflows and their steps in tables; progress as an event (`set_event`), which is a step; no leases",
        callers="dbos_queue",
    ),
    Contender(
        "dramatiq",
        "Dramatiq",
        "redis",
        "peers",
        "every write: Redis, `appendfsync always`",
        "two worker processes with threads",
        "late acknowledgement; no progress, no leases",
    ),
    Contender(
        "procrastinate",
        "Procrastinate",
        "postgres",
        "peers",
        "every commit: `synchronous_commit = on`",
        "one worker process, asynchronous jobs, at most 32 connections, notifications",
        "jobs in a table with the events of their status; no progress",
    ),
    Contender(
        "taskiq_nats",
        "taskiq-nats",
        "nats",
        "peers",
        "every submit: nats-server, `sync_interval: always`; acknowledgements are not flushed",
        "one worker process, a durable pull consumer that fetches as many messages as there are workers",
        "late acknowledgement; no progress, no leases",
    ),
    Contender(
        "es_custody",
        "custody_eventsourcing",
        "nats",
        "project",
        "every save: nats-server, `sync_interval: always`",
        "Custody's persistence module, one connection",
        "the library's events, in a stream of its own",
    ),
    Contender(
        "es_postgres",
        "eventsourcing.postgres",
        "postgres",
        "peers",
        "every commit: `synchronous_commit = on`",
        "the library's module on psycopg, up to 32 connections",
        "the library's events, in a table",
    ),
    Contender(
        "es_sqlite",
        "eventsourcing.sqlite",
        "none",
        "peers",
        "every commit: SQLite's default, `synchronous = FULL`, on a WAL",
        "the library's module, a file in the callers' process",
        "the library's events, in a table",
    ),
    *(
        Contender(
            f"{name}_relaxed",
            f"{label}, relaxed",
            f"{name}_relaxed",
            interpreter,
            durability,
            f"as {label}",
            f"as {label}",
            callers=name,
        )
        for name, label, interpreter, durability in RELAXED
    ),
    *(
        Contender(
            f"custody_{events}",
            f"Custody, {events:,} events",
            f"custody_{events}",
            "project",
            "every event: nats-server, `sync_interval: always`",
            "as Custody, on a log that is long already, with a snapshot every 100,000 events",
            "as Custody",
            callers="custody",
        )
        for events in LONG_LOGS
    ),
)

BY_NAME = {each.name: each for each in CONTENDERS}
