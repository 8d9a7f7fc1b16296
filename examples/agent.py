"""A complete worker on the wire contract: nats-py, JSON and subjects, nothing of Custody's own code.

    .venv/bin/python examples/agent.py alice            beside `custody up`: finds the broker through ./.custody
    CUSTODY_NATS=nats://user:password@host:4222 python examples/agent.py alice

It waits for work, reports progress with checkpoints, goes on from the last checkpoint of the holder before, follows the
service's directives (stop, hand over), and gives its task back when it is asked to end (SIGTERM or Ctrl-C). It lives
through restarts of the service and of the broker: what got no answer is asked again, under the same `command_id`.

The work is only an example, told by the payload: {"steps": 5, "step_s": 0.2, "fail": "why"}.
"""

# ruff: noqa: INP001, T201 - a script; it prints to its user

import asyncio
import json
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

POOL = os.environ.get("CUSTODY_POOL", "default")
BEAT_S = 20.0
"""Well below the shortest term, which is three minutes by default."""
WAIT_S = 20.0
"""How long one claim waits for work."""
RETRY_S = 1.0
TRY_AGAIN = {"overloaded", "not_writer", "unavailable"}
"""Errors after which the same command is sent again with the same id: it gets the first outcome, if there is one."""
NOT_NOW = {"paused", "at_capacity"}
"""Errors after which a claim is sent again later."""


class Refused(Exception):  # noqa: N818 - a refusal is an answer
    """The service refused a command."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: str = error["code"]


class Agent:
    """One agent with one task at a time."""

    def __init__(self, nc: Client, name: str) -> None:
        self.nc = nc
        self.name = name
        self.session = uuid.uuid4().hex
        """This process: an earlier one of the same name is told apart by it, and refused `stale_session`."""
        self.ending = asyncio.Event()
        self.orders: dict[str, str] = {}
        """The directives of the last heartbeat, by task: `stop` or `hand_over`."""

    async def ask(self, verb: str, *, wait_s: float = 0.0, **body: Any) -> dict[str, Any]:
        """Send a command until it is answered. Its id makes sure that it is carried out once."""
        body |= {"command_id": uuid.uuid4().hex, "session": self.session}
        if wait_s:
            body["wait_s"] = wait_s
        while True:
            try:
                message = await self.nc.request(
                    f"custody.{POOL}.agent.{self.name}.{verb}", json.dumps(body).encode(), timeout=wait_s + 10
                )
            except NatsError:
                # No answer in time, no service, or no broker: each may be back in a moment.
                await asyncio.sleep(RETRY_S)
                continue
            reply = json.loads(message.data)
            if reply["ok"]:
                result: dict[str, Any] = reply["result"]
                return result
            if reply["error"]["code"] not in TRY_AGAIN:
                raise Refused(reply["error"])
            await asyncio.sleep(RETRY_S)

    async def run(self) -> None:
        """Work until asked to end."""
        held = await self.ask("register", capabilities=["example"], capacity=1)
        for lease in held["leases"]:
            # An earlier process of this name held it and ended without a release. The next holder gets its checkpoint.
            await self.ask("release", task_id=lease["task_id"], token=lease["token"], reason="restarted")
        beating = asyncio.create_task(self.beat())
        try:
            await self.work_until_ending()
        finally:
            beating.cancel()
        # Ends a claim that still waits, and gives back what it may have been granted at the last moment.
        await self.ask("deregister")
        print(f"{self.name}: left", flush=True)

    async def beat(self) -> None:
        """Send a sign of life between reports, and take the directives in the reply."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                answer = await self.ask("heartbeat", load={"cpu": 10, "memory": 20})
            except Refused:
                continue  # what it is about, the work is told too
            self.orders = {each["task_id"]: each["do"] for each in answer["directives"]}

    async def work_until_ending(self) -> None:
        """Claim tasks and work on them, one after the other."""
        while not self.ending.is_set():
            try:
                leases = await self.claim()
            except Refused as refused:
                if refused.code not in NOT_NOW:
                    raise
                await asyncio.sleep(RETRY_S)
                continue
            for lease in leases:
                try:
                    await self.work(lease)
                except Refused as refused:
                    # stale_token, task_finished: the lease is lost. Nothing more may be done in its name.
                    # stale_session: another process of this name runs, and this one ends with its next claim.
                    print(f"{self.name}: lost {lease['task_id']}: {refused}", flush=True)

    async def claim(self) -> list[dict[str, Any]]:
        """Wait for work, or for the end."""
        claiming = asyncio.create_task(self.ask("claim", wait_s=WAIT_S))
        ending = asyncio.create_task(self.ending.wait())
        await asyncio.wait([claiming, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not claiming.done():
            claiming.cancel()
            return []
        leases: list[dict[str, Any]] = claiming.result()["leases"]
        return leases

    async def work(self, lease: dict[str, Any]) -> None:
        """Do one task, step by step."""
        task_id, payload = lease["task_id"], lease["payload"] or {}
        # An order on an earlier lease of the task does not concern this one.
        self.orders.pop(task_id, None)
        held = {"task_id": task_id, "token": lease["token"]}
        handoff = lease["handoff"] or {}
        done: int = (handoff.get("last_checkpoint") or {}).get("done", 0)
        steps = int(payload.get("steps", 3))
        print(f"{self.name}: began {task_id}, attempt {lease['attempt']}, at step {done}", flush=True)
        while done < steps:
            try:
                await asyncio.wait_for(self.ending.wait(), float(payload.get("step_s", 0.1)))
            except TimeoutError:
                done += 1
            else:
                break
            checkpoint = {"done": done}
            report = await self.ask("progress", **held, percent=100 * done // steps, checkpoint=checkpoint)
            order = self.orders.get(task_id, report["directive"])
            if order == "stop":
                print(f"{self.name}: stopped {task_id}", flush=True)
                return
            if order == "hand_over":
                break
        if done < steps:
            await self.ask("release", **held, checkpoint={"done": done}, reason="handed over")
            print(f"{self.name}: released {task_id} at step {done}", flush=True)
        elif "fail" in payload:
            await self.ask("fail", **held, error=str(payload["fail"]))
            print(f"{self.name}: failed {task_id}", flush=True)
        else:
            await self.ask("complete", **held, result={"steps": steps, "by": self.name})
            print(f"{self.name}: completed {task_id}", flush=True)


async def connect(name: str) -> Client:
    """Connect as CUSTODY_NATS says, else as the operator of the broker that `custody up` runs here."""

    async def say(error: Exception) -> None:
        print(f"{name}: {error!r}", file=sys.stderr, flush=True)

    # By default, the client gives up after two minutes without a broker.
    patience: dict[str, Any] = {"max_reconnect_attempts": -1, "reconnect_time_wait": RETRY_S, "error_cb": say}
    # A user of the broker may subscribe to inboxes that begin with its name only.
    if "CUSTODY_NATS" in os.environ:
        url = os.environ["CUSTODY_NATS"]
        return await nats.connect(url, inbox_prefix=f"_INBOX.{urlsplit(url).username or name}".encode(), **patience)
    data = Path(os.environ.get("CUSTODY_DATA_DIR", ".custody"))
    if not (data / "broker.json").exists():
        sys.exit(f"there is no {data / 'broker.json'}: run this beside `custody up`, in the same directory")
    url = json.loads((data / "broker.json").read_text())["url"]
    password = json.loads((data / "credentials.json").read_text())["operator"]
    return await nats.connect(url, user="operator", password=password, inbox_prefix=b"_INBOX.operator", **patience)


async def main(name: str) -> None:
    """Run the agent of this name until SIGTERM or SIGINT."""
    nc = await connect(name)
    agent = Agent(nc, name)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, agent.ending.set)
    try:
        await agent.run()
    except Refused as refused:
        sys.exit(f"{name}: {refused}")
    finally:
        await nc.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "alice"))
