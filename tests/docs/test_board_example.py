"""The example that keeps an issue board in step with a pool, with each of its programs killed in between."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from tests.docs.conftest import Place
from tests.support.checkout import ROOT
from tests.support.until import until
from tests.system.caller import Caller

pytestmark = pytest.mark.system
EXAMPLE = ROOT / "examples" / "board"
AGENT = "board-worker"


class Site:
    """The board, the program that syncs, and the notifier, each a process."""

    def __init__(self, place: Place, directory: Path, stack: ExitStack, nc: Client) -> None:
        self.nc = nc
        self.task_id = f"{directory.name}#1"
        self._stack = stack
        self._directory = directory
        self._state = directory / "board.json"
        self.env = {
            "SYNC_SECRET": f"whsec_{base64.b64encode(b's' * 24).decode()}",
            "SYNC_STATE": str(directory / "sync.json"),
            "SYNC_BOARD": directory.name,
            "SYNC_PORT": "0",
            "SYNC_POLL_S": "0.05",
        }
        self.place = place._replace(env={**place.env, **self.env})
        self.board_port = 0
        self.board = self.start_board()
        self.sync = self.start_sync()
        notify = (EXAMPLE / "notify.toml").read_text().replace("http://127.0.0.1:8081/custody", self.webhooks)
        (directory / "notify.toml").write_text(notify + "rate_per_s = 1000\n")
        self.notify = self.start_notify()

    def _start(self, ready: str, *command: str) -> tuple[subprocess.Popen[str], str]:
        """Start a program here; return it and the line that it says when it is ready."""
        process = self.place.start(*command)
        self._stack.callback(_gone, process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(ready):
                return process, line.strip()
        raise AssertionError(f"{command} ended")

    def _with_environment(self, **more: str) -> None:
        self.place = self.place._replace(env={**self.place.env, **more})

    def start_board(self) -> subprocess.Popen[str]:
        process, line = self._start(
            "board at ", sys.executable, str(EXAMPLE / "board.py"), str(self.board_port), str(self._state)
        )
        url = line.removeprefix("board at ")
        self.board_port = int(url.rpartition(":")[2])
        self._with_environment(BOARD_URL=url)
        return process

    def start_sync(self) -> subprocess.Popen[str]:
        process, line = self._start("webhooks at ", sys.executable, str(EXAMPLE / "sync.py"))
        self.webhooks = line.removeprefix("webhooks at ")
        self._with_environment(SYNC_PORT=self.webhooks.rpartition(":")[2].removesuffix("/custody"))
        return process

    def start_notify(self) -> subprocess.Popen[str]:
        process, _ = self._start("following ", "custody", "notify", "--config", str(self._directory / "notify.toml"))
        return process

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Call the board as a person does."""
        data = json.dumps({"by": "ann", **body}).encode() if method != "GET" else None
        request = urllib.request.Request(f"{self.place.env['BOARD_URL']}{path}", data, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def issue(self, number: int) -> Any:
        return self.call("GET", f"/issues/{number}")

    async def until_issue(self, number: int, what: str, holds: Callable[[Any], bool]) -> Any:
        """Return an issue once something holds of it."""

        async def shown() -> bool:
            return holds(self.issue(number))

        await until(what, shown, lambda: (self.issue(number), self.said()))
        return self.issue(number)

    async def ask(self, subject: str, **body: Any) -> Any:
        """Ask the service as its operator, and return the result."""
        return await Caller(self.nc, "default").done(subject, body)

    async def until_task(self, status: str) -> Any:
        """Return the first issue's task once it has a status."""

        async def has() -> bool:
            found = (await self.ask("query.tasks", label="board", limit=1_000))["tasks"]
            return [each["status"] for each in found if each["task_id"] == self.task_id] == [status]

        await until(f"{self.task_id} {status}", has, self.said)
        return await self.ask("query.task", task_id=self.task_id)

    async def hold(self) -> int:
        """Have the agent hold the first issue's task; return its token. A claim may get a task of another test."""
        token: int = (await self.ask("ops.assign", task_id=self.task_id, agent_id=AGENT))["token"]
        return token

    def said(self) -> list[str]:
        """Return what the programs said since they were ready; they are ended."""
        self.notify.kill()
        self.sync.kill()
        return [self.notify.communicate()[0], self.sync.communicate()[0]]


def _gone(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
async def site(place: Place, tmp_path: Path) -> AsyncIterator[Site]:
    data = place.path / ".custody"
    url = json.loads((data / "broker.json").read_text())["url"]
    password = json.loads((data / "credentials.json").read_text())["operator"]
    nc = await nats.connect(url, user="operator", password=password, inbox_prefix=b"_INBOX.operator")
    with ExitStack() as stack:
        made = Site(place, tmp_path, stack, nc)
        yield made
        # Any agent of another test might get it.
        await made.ask("ops.cancel", label="board")
    await nc.close()


def comments(issue: Any) -> list[str]:
    """What the sync said about an issue."""
    return [each["body"].rpartition(" (")[0] for each in issue["comments"] if each["by"] == "board-sync"]


async def test_a_board_and_a_pool_are_in_step_both_ways(site: Site) -> None:
    await site.ask(f"agent.{AGENT}.register", capacity=100)
    # Issue opened: a task. An agent blocks it: a label, and the question as a comment.
    site.call("POST", "/issues", title="Mend the fence", body="It fell.", labels=["garden"])
    assert (await site.until_task("queued"))["title"] == "Mend the fence"
    held = {"task_id": site.task_id, "token": await site.hold()}
    await site.ask(f"agent.{AGENT}.block", **held, reason="unclear", question="Which colour?")
    blocked = await site.until_issue(1, "blocked", lambda issue: "custody: blocked" in issue["labels"])
    assert blocked["labels"] == ["garden", "custody: blocked"]
    # The sync is killed, the person answers meanwhile, and the board is killed and comes back.
    site.sync.kill()
    site.sync.wait()
    site.call("POST", "/issues/1/comments", body="/answer green")
    site.board.kill()
    site.board.wait()
    site.board = site.start_board()
    site.sync = site.start_sync()
    assert (await site.until_task("queued"))["handoff"]["answer"] == "green"
    # The notifier is killed; what it missed it tells later.
    site.notify.kill()
    site.notify.wait()
    held = {"task_id": site.task_id, "token": await site.hold()}
    await site.ask(f"agent.{AGENT}.complete", **held, result={"colour": "green"})
    site.notify = site.start_notify()
    done = await site.until_issue(1, "closed", lambda issue: issue["state"] == "closed")
    assert (done["state_reason"], done["labels"]) == ("completed", ["garden"])
    # Each event is one comment, whatever was killed; what the sync did itself is none.
    said = comments(await site.until_issue(1, "four comments", lambda issue: len(comments(issue)) >= 4))
    # A comment that failed because the board was away comes behind later ones.
    events = sorted(each.split(": ")[1].split(" by ")[0] for each in said)
    assert events == ["blocked", "completed", "leased", "leased"]
    (asked,) = (each for each in said if "Which colour?" in each)
    assert asked.endswith("answer with a comment that begins with /answer")


async def test_a_task_without_an_issue_holds_up_no_other(site: Site) -> None:
    await site.ask("ops.submit", task_id=site.task_id.replace("#1", "#99"), labels=["board"])
    await site.ask("ops.cancel", task_id=site.task_id.replace("#1", "#99"))
    site.call("POST", "/issues", title="Mend the fence")
    await site.until_task("queued")
    await site.ask(f"agent.{AGENT}.register", capacity=100)
    await site.hold()
    await site.until_issue(1, "a comment", lambda issue: len(comments(issue)) == 1)


async def test_what_lacks_a_field_is_refused_and_changes_nothing(site: Site) -> None:
    for body in ({"title": "no name", "by": None}, {"by": "ann"}):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            site.call("POST", "/issues", **body)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        site.issue(1)
    assert site.call("GET", "/changes?after=0") == []


@pytest.mark.parametrize(("reason", "status"), [("completed", "completed"), ("not_planned", "cancelled")])
async def test_a_person_who_closes_an_issue_ends_its_task_and_nothing_echoes(
    site: Site, reason: str, status: str
) -> None:
    site.call("POST", "/issues", title="Closed by a person")
    await site.until_task("queued")
    site.call("PATCH", "/issues/1", state="closed", state_reason=reason)
    await site.until_task(status)
    assert (await site.ask("query.explain", task_id=site.task_id))["status"] == status
    site.notify.send_signal(signal.SIGTERM)
    assert site.notify.wait(timeout=30) == 0
    assert comments(site.issue(1)) == []
    assert [each["action"] for each in site.call("GET", "/changes?after=0")] == ["opened", "closed"]
