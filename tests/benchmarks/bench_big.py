"""What a pool of many live tasks costs: python -m tests.benchmarks.bench_big [--tasks 100000].

Memory of a task, the pages that people ask for, commands, a snapshot taken and read, and the fold from the log. It runs
without a broker and gives the time of the processor, so what it says is about this process alone. A million tasks take
some minutes and 3 GB.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from domain.decisions.dispatch import decide
from domain.events import Entity, Event
from domain.events import agent as ag
from domain.events import pool as po
from domain.events import task as ev
from domain.policies.lease import LeasePolicy
from domain.recorded import Recorded
from domain.request import Request
from domain.rules import Rules
from domain.values import Priority
from handlers.memory.catch_up import rebuilding, without_gc
from handlers.memory.memory import Memory
from handlers.memory.snapshots import GradualImage, adopt, decode, encode
from handlers.ports import StoredMessage
from infra.codec import CloudEventsCodec
from infra.service.serving import COLLECT_EVERY
from projections.queries.answers import answer
from projections.queries.backlog_view import kept_backlog
from projections.queries.cursors import backlog_cursor
from projections.queries.pool_copy import copy_of
from projections.queries.questions import QUERIES, BacklogQuery, TasksQuery
from projections.queries.statistics_view import kept_statistics
from projections.queries.tasks_view import kept_tasks
from tests.benchmarks.arguments import positive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projections.queries.questions import Query
    from projections.state.pool_state import PoolState

POOL = "bench"
START = datetime(2026, 1, 1, tzinfo=UTC)
AGENTS = 500
HELD = 10
"""One task in so many is held, and was reported on."""
CHUNK = 1_000
CODEC = CloudEventsCodec(POOL)
BUILD = "bench"


def events(tasks: int) -> Iterator[tuple[Entity, str, int, str, Event]]:
    """Every task is submitted; some are granted, in batches, and reported on."""
    yield Entity.POOL, POOL, 1, "writer", po.Opened(software="bench")
    for number in range(AGENTS):
        yield Entity.AGENT, f"a{number}", 1, f"agent/a{number}", ag.Registered(capacity=100_000)
    position = 1 + AGENTS
    until = START + timedelta(days=30)
    priorities = list(Priority)
    for number in range(tasks):
        task_id = f"import-{number:07}"
        yield (
            Entity.TASK, task_id, 1, "ops/plan",
            ev.Submitted(
                request_digest=f"{number:064x}", title=f"Import part {number}", priority=priorities[number % 4],
                payload={"repo": "example/app", "part": number}, labels=("import", "nightly"), lease=LeasePolicy(),
            ),
        )  # fmt: skip
        position += 1
        if number % HELD:
            continue
        agent_id, token = f"a{number // HELD % AGENTS}", position + 1
        yield (
            Entity.TASK, task_id, 2, f"agent/{agent_id}",
            ev.Leased(token=token, agent_id=agent_id, attempt=1, lease_s=180, grace_s=60, expires_at=until),
        )  # fmt: skip
        yield (
            Entity.TASK, task_id, 3, f"agent/{agent_id}",
            ev.Progressed(
                token=token, percent=10, message="reading", reports=1, lease_s=240, grace_s=60, expires_at=until
            ),
        )  # fmt: skip
        position += 2


def messages(tasks: int) -> Iterator[list[StoredMessage]]:
    """Return the log of it, in chunks."""
    previous: str | None = None
    position = 0
    stream = events(tasks)
    while part := list(itertools.islice(stream, CHUNK)):
        records = []
        for entity, entity_id, version, actor, event in part:
            position += 1
            at, cause = START + timedelta(milliseconds=position), f"{position:032x}"
            records.append(Recorded(position, entity, entity_id, version, at, actor, cause, event, "bench", keyed=True))
        made, previous = CODEC.encode(records, previous)
        yield [
            StoredMessage(position - len(made) + number, message.subject, message.body, message.headers)
            for number, message in enumerate(made, start=1)
        ]


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def timed(name: str, act: Callable[[], object], rounds: int = 5) -> None:
    """Print how long it takes, the median and the worst."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        act()
        took.append(time.process_time() - began)
    print(f"{name:<40} {1e3 * statistics.median(took):>10.2f} ms, at most {1e3 * max(took):.2f}", flush=True)


def fold(tasks: int) -> Memory:
    """Rebuild the pool from its log."""
    memory = Memory(POOL, Rules(), CODEC, outcomes=200_000)
    spent = 0.0
    before = resident()
    with rebuilding(memory.state):
        for chunk in messages(tasks):
            began = time.process_time()
            memory.fold(chunk)
            spent += time.process_time() - began
        began = time.process_time()
    spent += time.process_time() - began
    count = memory.state.position
    print(f"{'fold of the log':<40} {spent:>10.2f} s, {count / spent:,.0f} events/s (with the indexes)")
    print(f"{'memory a task':<40} {(resident() - before) / tasks:>10.0f} bytes after a fold", flush=True)
    return memory


def pages(memory: Memory) -> None:
    """Ask for the first page of each view, and for one from the middle of the backlog."""
    state, now = memory.state, memory.state.last_time + timedelta(seconds=1)
    totals = memory.statistics.totals()
    for name, query in QUERIES.items():
        if name not in {"task", "explain", "health"}:
            timed(f"query.{name}, computed", partial(_computed, query, state, now, totals), 3)
    middle = backlog_cursor((0, -Priority.MEDIUM.rank, state.position // 2))
    timed("query.backlog, kept", lambda: kept_backlog(BacklogQuery(), state, now))
    timed("query.backlog, kept, the middle", lambda: kept_backlog(BacklogQuery(after=middle), state, now))
    timed("query.tasks, kept", lambda: kept_tasks(TasksQuery(), state))
    timed("query.statistics, kept", lambda: kept_statistics(state, totals, now))


def _computed(query: type[Query], state: PoolState, now: datetime, totals: dict[str, Any]) -> object:
    return answer(query(), copy_of(state, now, totals, lambda _: None))


def commands(memory: Memory) -> None:
    """Decide and make final: a submit, a claim, a completion; how many of these a second.

    By an agent that holds nothing else, and by one that holds a five-hundredth of what is held: each of its commands
    is a sign of life for all of it.
    """
    state, rounds, batch = memory.state, 5, 1_000
    numbers = itertools.count()

    def ask(who: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        name = f"x{next(numbers)}"
        if who == "ops":
            request = Request(OPS_COMMANDS[verb](**body), "ops/plan", name, None, name, verb, keyed=True)
        else:
            request = Request(AGENT_COMMANDS[verb](**body), f"agent/{who}", name, who, "", verb, keyed=True)
        decision = decide(state, request, state.last_time + timedelta(microseconds=1), state.rules)
        state.apply(decision)
        state.commit()
        assert decision.result is not None
        return decision.result

    ask("idle", "register", {})
    for who in ("idle", "a1"):
        held = state.tasks_held(who)
        rates = []
        for _ in range(rounds):
            began = time.process_time()
            for _ in range(batch):
                ask("ops", "submit", {"task_id": f"new-{next(numbers)}"})
                (lease,) = ask(who, "claim", {})["leases"]
                ask(who, "complete", {"task_id": lease["task_id"], "token": lease["token"]})
            rates.append(3 * batch / (time.process_time() - began))
        name = f"submit, claim, complete, holding {held}"
        print(f"{name:<40} {statistics.median(rates):>10,.0f} commands/s", flush=True)


async def snapshots(memory: Memory) -> None:
    """Take a snapshot beside a loop that wants to run every millisecond, and begin with it."""
    loop = asyncio.get_running_loop()
    late: list[float] = []

    async def tick() -> None:
        while True:
            began = loop.time()
            await asyncio.sleep(0.001)
            late.append(1e3 * (loop.time() - began - 0.001))

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(1)
    quiet = max(late)
    late.clear()
    began = time.process_time()
    image = await GradualImage(memory).finished()
    copied = time.process_time()
    document = await asyncio.to_thread(encode, image, BUILD)
    ticking.cancel()
    print(
        f"{'snapshot: copy':<40} {1e3 * (copied - began):>10.2f} ms, then {time.process_time() - copied:.2f} s to write"
    )
    p99, most = statistics.quantiles(late, n=100)[-1], max(late)
    print(f"{'the loop beside it is late by':<40} {p99:>10.2f} ms (p99), at most {most:.2f}; else at most {quiet:.2f}")
    gc.collect()
    before = resident()
    began = time.process_time()
    with without_gc():
        image = decode(document, build=BUILD, pool_id=POOL)
        decoded = time.process_time()
        again = Memory(POOL, Rules(), CODEC, outcomes=200_000)
        adopt(again, image)
    done = time.process_time()
    print(
        f"{'snapshot: read':<40} {decoded - began:>10.2f} s, then {done - decoded:.2f} s for the indexes;"
        f" {len(document):,} bytes"
    )
    del image
    gc.collect()
    print(f"{'memory a task':<40} {(resident() - before) / len(again.state.tasks):>10.0f} bytes behind a snapshot")
    assert again.state.entities() == memory.state.entities()


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description="What a pool of many live tasks costs.")
    parser.add_argument("--tasks", type=positive, default=100_000)
    options = parser.parse_args()
    print(f"{options.tasks:,} live tasks, one in {HELD} held; load of the machine {os.getloadavg()[0]:.1f}")
    memory = fold(options.tasks)
    # As the service does when it has read its log.
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)
    pages(memory)
    asyncio.run(snapshots(memory))
    commands(memory)


if __name__ == "__main__":
    main()
