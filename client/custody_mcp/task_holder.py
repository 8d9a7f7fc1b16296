"""One agent that works by command line: what it holds is in a file, and each command is a process of its own."""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path
from typing import Any

import msgspec

from custody_client import CustodyError, Lease, OwnReport, StaleSession, UnknownAgent
from custody_client.calls import Calls
from custody_client.errors import LOST, lease_lost
from custody_client.limits import cut_reason, cut_text
from custody_client.wire import Fate, Holdings, Leases
from custody_mcp.briefing import BY_COMMAND, briefing

ANSWER_S = 15.0
"""How long one command is repeated without an answer."""
BEAT_S = 3.0
"""How long a beat may hold up the agent."""
BEATS_APART_S = 10.0
"""A tool use soon after a beat needs no other."""


class Kept(msgspec.Struct):
    """What the file holds."""

    session: str
    lease: Lease | None = None
    beat_at: float = 0.0
    """When a beat was confirmed last, by this machine's clock."""


class Ordered(CustodyError):  # noqa: N818 - an order, not a fault
    """The agent has to hand over."""


class Holder:
    """One agent, for one command."""

    def __init__(self, calls: Calls, agent: str, capabilities: list[str], file: Path) -> None:
        self._calls = calls
        self._registration = {"capabilities": capabilities, "capacity": 1, "labels": ["command line"]}
        self._agent = agent
        self._file = file
        self._kept = _read(file)

    async def claim(self, wait_s: float) -> str:
        """Return the briefing of the task that is held, else of one that is claimed now, if there is one."""
        held = (await self._command("register", self._registration)).read(Holdings).leases
        for each in held:
            try:
                lease = (await self._command("lease", {"task_id": each.task_id, "token": each.token})).read(Lease)
            except LOST:
                continue
            return self._begin(lease)
        self._keep(None)
        answer = await self._command("claim", {"max": 1, "wait_s": wait_s}, wait_s=wait_s, limit_s=wait_s + ANSWER_S)
        leases = answer.read(Leases).leases
        return self._begin(leases[0]) if leases else "There is no work for you now."

    async def beat(self) -> str:
        """Keep the lease alive.

        Raises:
            LeaseLost, StaleSession: the task is not held any more.
            Ordered: it is to be handed over.
        """
        lease = self._kept.lease
        if lease is None or 0 <= time.time() - self._kept.beat_at < BEATS_APART_S:
            return ""
        vouched = {"task_id": lease.task_id, "token": lease.token}
        answer = await self._command("heartbeat", {"tasks": [vouched]}, limit_s=BEAT_S)
        for directive in answer.read(Holdings).directives:
            if directive.task_id == lease.task_id and directive.do == "stop":
                await self._on_task("lease", {})  # says who has it
            elif directive.task_id == lease.task_id:
                raise Ordered(f"Hand over {lease.task_id} soon ({directive.reason}): custody-task hand-over.")
        self._kept.beat_at = time.time()
        self._keep(lease)
        return ""

    async def report(self, percent: int, note: str | None, checkpoint: Any) -> str:
        """Report progress, which is kept for a claim of the same agent, too."""
        body: dict[str, Any] = {"percent": percent}
        if note is not None:
            body["message"] = cut_text(note)
        if checkpoint is not None:
            body["checkpoint"] = checkpoint
        await self._on_task("progress", body)
        lease = self._held
        before = lease.reported or OwnReport()
        reported = OwnReport(percent, note or before.note, before.checkpoint if checkpoint is None else checkpoint)
        self._keep(msgspec.structs.replace(lease, reported=reported))
        return f"Noted: {lease.task_id} is at {percent} %."

    async def quiet(self, for_s: float, why: str) -> str:
        """Announce that nothing is heard for a time."""
        await self._on_task("silence", {"for_s": for_s, "reason": cut_reason(why)})
        return f"Noted: no sign of life of {self._held.task_id} is expected for {for_s:g} s."

    async def end(self, verb: str, body: dict[str, Any]) -> str:
        """End the work on the task. The same again, after no answer came, gets the first outcome."""
        fate = (await self._on_task(verb, body, once=True)).read(Fate)
        self._keep(None)
        return f"{fate.task_id} is {fate.status} now. You hold it no more."

    async def hand_over(self, notes: str, checkpoint: Any) -> str:
        """Report what the next holder needs, and give the task back; without a task there is nothing to do."""
        if self._kept.lease is None:
            return "You hold no task."
        lease = self._kept.lease
        percent = lease.reported.percent if lease.reported else lease.handoff.progress if lease.handoff else 0
        await self.report(percent, notes, checkpoint)
        return await self.end("release", {"reason": "handed over"})

    def forget(self) -> None:
        """Hold the task no more."""
        self._keep(None)

    @property
    def _held(self) -> Lease:
        if self._kept.lease is None:
            raise Ordered("You hold no task. custody-task claim gets one.")
        return self._kept.lease

    def _begin(self, lease: Lease) -> str:
        self._keep(lease)
        return briefing(lease, lease.reported, with_fields=True, how_to_go_on=BY_COMMAND)

    def _keep(self, lease: Lease | None) -> None:
        self._kept.lease = lease
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_bytes(msgspec.json.encode(self._kept))
        new.replace(self._file)

    async def _on_task(self, verb: str, body: dict[str, Any], *, once: bool = False) -> Any:
        lease = self._held
        fields = {"task_id": lease.task_id, "token": lease.token, **body}
        digest = hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()[:24]
        try:
            return await self._command(verb, fields, command_id=f"{verb}-{digest}" if once else None)
        except StaleSession:
            raise
        except LOST as refused:
            raise lease_lost(*lease.key, refused) from None

    async def _command(self, verb: str, body: dict[str, Any], *, limit_s: float | None = None, **options: Any) -> Any:
        subject, session = f"agent.{self._agent}", {"session": self._kept.session}
        limit_s = ANSWER_S if limit_s is None else limit_s
        try:
            return await self._calls.command(f"{subject}.{verb}", {**body, **session}, limit_s=limit_s, **options)
        except UnknownAgent:
            # It was taken out of the pool meanwhile.
            await self._calls.command(f"{subject}.register", {**self._registration, **session}, limit_s=limit_s)
            return await self._calls.command(f"{subject}.{verb}", {**body, **session}, limit_s=limit_s, **options)


def _read(file: Path) -> Kept:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept(secrets.token_hex(16))
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file} is damaged ({error}): remove it, and claim again") from None
