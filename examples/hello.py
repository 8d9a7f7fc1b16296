"""A task from submission to completion, with nothing but a NATS client and the subjects."""

# ruff: noqa: INP001, T201 - a script; it prints to its user

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import nats

DATA = Path(".custody")  # where `custody up` keeps its address and its passwords


async def main() -> None:
    """Submit, claim, report, complete."""
    if not (DATA / "broker.json").exists():
        sys.exit("there is no .custody/broker.json: run this beside `custody up`, in the same directory")
    url = json.loads((DATA / "broker.json").read_text())["url"]
    password = json.loads((DATA / "credentials.json").read_text())["operator"]
    nc = await nats.connect(url, user="operator", password=password, inbox_prefix=b"_INBOX.operator")

    async def ask(subject: str, **body: Any) -> Any:
        reply = json.loads((await nc.request(f"custody.default.{subject}", json.dumps(body).encode(), timeout=10)).data)
        print(subject, "->", reply["result"] if reply["ok"] else reply["error"])
        return reply["result"]

    await ask("ops.submit", title="Say hello", payload={"to": "world"})
    await ask("agent.alice.register", capabilities=["speech"])
    lease = (await ask("agent.alice.claim"))["leases"][0]
    held = {"task_id": lease["task_id"], "token": lease["token"]}
    await ask("agent.alice.progress", **held, percent=50, message="took a breath")
    await ask("agent.alice.complete", **held, result=f"hello, {lease['payload']['to']}")
    await nc.close()


asyncio.run(main())
