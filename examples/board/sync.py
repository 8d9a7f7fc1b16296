"""Keeps an issue board and a pool in step, both ways.

    python examples/board/sync.py          beside `custody up`: finds the broker through ./.custody

| variable | | default |
|---|---|---|
| `BOARD_URL` | the board's address | `http://127.0.0.1:8080` |
| `SYNC_PORT` | where `custody notify` posts to, on this machine | 8081 |
| `SYNC_SECRET` | the endpoint's secret, `whsec_` and base64 | |
| `SYNC_BOARD` | what the ids of its tasks begin with | `board` |
| `SYNC_STATE` | the file that keeps how far the board was read | `sync.json` |

From the board to the pool, by reading the board's changes behind a serial that is kept in a file:

    issue opened                      -> ops.submit of the task `board#NUMBER`
    comment that begins with /answer  -> ops.unblock with the answer
    issue closed as completed         -> ops.complete; closed otherwise -> ops.cancel
    issue reopened                    -> nothing: a task that has ended stays so; open a new issue

From the pool to the board, by the webhooks of `custody notify`: an event becomes a comment, and the issue's labels and
state are made those of the task as it is now.

What is sent twice is done once: a command's id is made of the change's serial, a comment ends with the id of the
webhook that it was made for, and labels and state are those of now, whatever the order of the webhooks. What this
program does itself (`by`, the actor) leads to nothing on the other side, so there are no loops. The serial moves on
only after the command was answered, and a webhook is acknowledged only after the board has it: each side may be away
for a while, and this program may be killed at any moment.
"""

# ruff: noqa: INP001, T201 - a script; it prints to its user

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import nats
import uvicorn
from nats.aio.client import Client
from nats.errors import Error as NatsError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POOL = os.environ.get("CUSTODY_POOL", "default")
BOARD = os.environ.get("BOARD_URL", "http://127.0.0.1:8080")
STATE = Path(os.environ.get("SYNC_STATE", "sync.json"))
ME = "board-sync"
"""Who this program is, on both sides."""
PREFIX = f"{os.environ.get('SYNC_BOARD', 'board')}#"
HINT = " - answer with a comment that begins with /answer"
POLL_S = float(os.environ.get("SYNC_POLL_S", "2"))
TOLERANCE_S = 300
AGAIN = {"overloaded", "not_writer", "unavailable"}
"""Refusals after which the same command is sent again; after any other there is nothing left to do."""
GONE = {404, 410}
OURS = "custody: "
"""What labels of this program begin with."""
LABELS = {
    "assigned": "in progress", "in_progress": "in progress", "blocked": "blocked", "stuck": "stuck",
    "quarantined": "quarantined", "failed": "failed",
}  # fmt: skip
ENDS = {"completed": "completed", "cancelled": "not_planned"}
"""Statuses that close an issue, and as what."""


async def connect() -> Client:
    """Connect as the operator of the broker that `custody up` runs here."""
    data = Path(os.environ.get("CUSTODY_DATA_DIR", ".custody"))
    if not (data / "broker.json").exists():
        sys.exit(f"there is no {data / 'broker.json'}: run this beside `custody up`, in the same directory")
    url = json.loads((data / "broker.json").read_text())["url"]
    password = json.loads((data / "credentials.json").read_text())["operator"]
    return await nats.connect(
        url, user="operator", password=password, inbox_prefix=b"_INBOX.operator", max_reconnect_attempts=-1
    )


class NotNow(Exception):  # noqa: N818 - no fault of anything
    """The pool or the board does not answer: the same again, later."""


class Sync:
    """Both ways."""

    def __init__(self, nc: Client, board: httpx.AsyncClient) -> None:
        self._nc = nc
        self._board = board

    async def ask(self, subject: str, **body: Any) -> dict[str, Any] | None:
        """Ask the service; return the result, None for a refusal that leaves nothing to do. Raises NotNow."""
        try:
            message = await self._nc.request(
                f"custody.{POOL}.{subject}", json.dumps(body).encode(), timeout=5, headers={"Custody-Actor": ME}
            )
        except (NatsError, TimeoutError) as error:
            raise NotNow(f"{subject}: {error!r}") from None
        reply = json.loads(message.data)
        if reply["ok"]:
            result: dict[str, Any] = reply["result"]
            return result
        refused = f"{subject}: {reply['error']['code']}: {reply['error']['message']}"
        if reply["error"]["code"] in AGAIN:
            raise NotNow(refused)
        print(refused, flush=True)
        return None

    async def call(self, method: str, path: str, **body: Any) -> Any:
        """Call the board; None if it has no such issue. Raises NotNow."""
        try:
            answer = await self._board.request(method, path, json=body or None)
            if answer.status_code in GONE:
                # It was deleted, or never was: asking again would hold up everything behind it.
                print(f"the board has no {path}", flush=True)
                return None
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise NotNow(f"board: {error!r}") from None
        return answer.json()

    async def follow_board(self) -> None:
        """Carry the board's changes over, for ever."""
        while True:
            try:
                for change in await self.call("GET", f"/changes?after={read_serial()}"):
                    await self.carry_over(change)
                    keep_serial(change["serial"])
            except NotNow as error:
                print(f"trying again: {error}", flush=True)
            await asyncio.sleep(POLL_S)

    async def carry_over(self, change: dict[str, Any]) -> None:
        """Carry one change of the board over to the pool."""
        if change["by"] == ME:
            return
        # A change that is read twice has the same id, and is carried out once.
        task = {"task_id": f"{PREFIX}{change['issue']}", "command_id": f"{PREFIX}change-{change['serial']}"}
        issue = await self.call("GET", f"/issues/{change['issue']}")
        if issue is None:
            return
        match change["action"]:
            case "opened":
                payload = {"issue": issue["number"], "body": issue["body"]}
                await self.ask("ops.submit", **task, title=issue["title"][:256], payload=payload, labels=["board"])
            case "commented" if change["body"].startswith("/answer "):
                answer = change["body"].removeprefix("/answer ").strip()
                await self.ask("ops.unblock", **task, answer=answer, reason=f"answered by {change['by']}")
            case "closed" if issue["state"] != "closed":
                pass  # It was reopened meanwhile.
            case "closed" if issue["state_reason"] == "completed":
                await self.ask("ops.complete", **task, result={"closed_by": change["by"]})
            case "closed":
                await self.ask("ops.cancel", **task, reason=f"closed by {change['by']}")

    async def tell_board(self, told: dict[str, Any], webhook_id: str) -> None:
        """Carry one webhook over to the board."""
        data = told["data"]
        task_id = data.get("task_id") or ""
        if not task_id.startswith(PREFIX):
            return
        path = f"/issues/{task_id.removeprefix(PREFIX)}"
        issue = await self.call("GET", path)
        if issue is None:
            return
        task = await self.ask("query.task", task_id=task_id)
        if data.get("actor") != f"ops/{ME}":
            mark = f"({webhook_id})"
            if not any(each["body"].endswith(mark) for each in issue["comments"]):
                hint = HINT if data["kind"] == "task.blocked" else ""
                await self.call("POST", f"{path}/comments", body=f"{data['text']}{hint} {mark}", by=ME)
        if task is None:
            return
        status = task["status"]
        labels = [each for each in issue["labels"] if not each.startswith(OURS)]
        labels += [f"{OURS}{LABELS[status]}"] if status in LABELS else []
        if sorted(labels) != sorted(issue["labels"]):
            await self.call("PATCH", path, labels=labels, by=ME)
        if status in ENDS and issue["state"] == "open":
            await self.call("PATCH", path, state="closed", state_reason=ENDS[status], by=ME)


def read_serial() -> int:
    """Return how far the board was read."""
    return int(json.loads(STATE.read_text())["after"]) if STATE.exists() else 0


def keep_serial(serial: int) -> None:
    """Keep how far the board was read; the file is whole whatever happens."""
    partial = STATE.with_suffix(".part")
    partial.write_text(json.dumps({"after": serial}))
    partial.replace(STATE)


def verified(secret: bytes, request: Request, body: bytes) -> bool:
    """Return whether a webhook comes from who has the secret, and is not an old one."""
    webhook_id, sent_at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > TOLERANCE_S:
        return False
    digest = hmac.new(secret, f"{webhook_id}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    wanted = f"v1,{base64.b64encode(digest).decode()}"
    given = request.headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(wanted, each) for each in given)


def application(sync: Sync, secret: bytes) -> Starlette:
    """Return what takes webhooks."""

    async def take(request: Request) -> Response:
        body = await request.body()
        if not verified(secret, request, body):
            return Response("not signed with the secret", status_code=401)
        try:
            await sync.tell_board(json.loads(body), request.headers["webhook-id"])
        except NotNow as error:
            return Response(str(error), status_code=503)
        return Response(status_code=204)

    return Starlette(routes=[Route("/custody", take, methods=["POST"])])


async def main() -> None:
    """Sync until interrupted."""
    if not os.environ.get("SYNC_SECRET", "").startswith("whsec_"):
        sys.exit("set SYNC_SECRET to the secret of the endpoint: export SYNC_SECRET=whsec_$(openssl rand -base64 32)")
    nc = await connect()
    secret = base64.b64decode(os.environ["SYNC_SECRET"].removeprefix("whsec_"))
    async with httpx.AsyncClient(base_url=BOARD, timeout=5, trust_env=False) as board:
        sync = Sync(nc, board)
        port = int(os.environ.get("SYNC_PORT", "8081"))
        with socket.create_server(("127.0.0.1", port)) as listening:
            print(f"webhooks at http://127.0.0.1:{listening.getsockname()[1]}/custody", flush=True)
            following = asyncio.create_task(sync.follow_board())
            await uvicorn.Server(uvicorn.Config(application(sync, secret), log_level="warning")).serve([listening])
            following.cancel()
    await nc.close()


if __name__ == "__main__":
    asyncio.run(main())
