"""Submit a few tasks and watch them, event by event, without missing one: nats-py and the wire contract alone.

    .venv/bin/python examples/submit_and_watch.py 3      beside `custody up`: finds the broker through ./.custody
    CUSTODY_NATS=nats://user:password@host:4222 python examples/submit_and_watch.py 3

The pool's stream republishes every accepted event on a feed. Core NATS may drop a message, so positions are watched,
and a gap is filled from the stream. Ends when all tasks have ended; the status is 1 unless all were completed.
"""

# ruff: noqa: INP001, T201 - a script; it prints to its user

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client

POOL = os.environ.get("CUSTODY_POOL", "default")
ENDS = {"completed", "failed", "cancelled"}


async def connect() -> Client:
    """Connect as CUSTODY_NATS says, else as the operator of the broker that `custody up` runs here."""
    if "CUSTODY_NATS" in os.environ:
        url = os.environ["CUSTODY_NATS"]
        # A user of the broker may subscribe to inboxes that begin with its name only.
        return await nats.connect(url, inbox_prefix=f"_INBOX.{urlsplit(url).username or 'watch'}".encode())
    data = Path(os.environ.get("CUSTODY_DATA_DIR", ".custody"))
    if not (data / "broker.json").exists():
        sys.exit(f"there is no {data / 'broker.json'}: run this beside `custody up`, in the same directory")
    url = json.loads((data / "broker.json").read_text())["url"]
    password = json.loads((data / "credentials.json").read_text())["operator"]
    return await nats.connect(url, user="operator", password=password, inbox_prefix=b"_INBOX.operator")


async def ask(nc: Client, subject: str, **body: Any) -> dict[str, Any]:
    """Ask the service, as the actor `ops/example`, and return its reply."""
    headers = {"Custody-Actor": "example"}
    message = await nc.request(f"custody.{POOL}.{subject}", json.dumps(body).encode(), timeout=10, headers=headers)
    reply: dict[str, Any] = json.loads(message.data)
    if not reply["ok"]:
        sys.exit(f"{subject}: {reply['error']['code']}: {reply['error']['message']}")
    return reply


async def events(nc: Client, after: int) -> AsyncIterator[dict[str, Any]]:
    """Yield every event of the pool after a position, in order."""
    feed = await nc.subscribe(f"custody.{POOL}.feed.>")
    await nc.flush()
    # What was appended before the subscription is in the stream only.
    position = (await ask(nc, "query.health"))["position"]
    for early in range(after + 1, position + 1):
        yield await stored(nc, early)
    async for message in feed.messages:
        arrived = int((message.headers or {})["Nats-Sequence"])
        for missed in range(position + 1, arrived):
            yield await stored(nc, missed)
        if arrived > position:
            yield json.loads(message.data)
            position = arrived


async def stored(nc: Client, position: int) -> dict[str, Any]:
    """Read one event from the stream."""
    message = await nc.jetstream().get_msg(f"CUSTODY_{POOL}", position)
    event: dict[str, Any] = json.loads(message.data or b"")
    return event


async def main(count: int) -> int:
    """Submit so many tasks and watch them to their end; return the exit status."""
    nc = await connect()
    start = (await ask(nc, "query.health"))["position"]
    open_tasks = set()
    for number in range(1, count + 1):
        # The id makes a repeat harmless: should the reply be lost, the same request again returns the first outcome.
        submitted = await ask(
            nc,
            "ops.submit",
            command_id=uuid.uuid4().hex,
            title=f"Example {number}",
            payload={"steps": 3, "step_s": 0.05},
            priority="high" if number == 1 else "medium",
            required_capabilities=["example"],
        )
        open_tasks.add(submitted["result"]["task_id"])
    outcomes = []
    async for event in events(nc, start):
        name = event["type"].split(".")[2]
        print(f"{event['id']:>5}  {event['time']}  {event['subject']:<38}  {name:<12} {event['actor']}", flush=True)
        task_id = event["subject"].removeprefix("task/")
        if task_id in open_tasks and name in ENDS:
            open_tasks.remove(task_id)
            outcomes.append(name)
        if not open_tasks:
            break
    await nc.close()
    return int(set(outcomes) != {"completed"})


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
