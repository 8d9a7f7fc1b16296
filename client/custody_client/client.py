"""A client: submits tasks, waits for their results, asks, and watches."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

from nats.aio.msg import Msg

from custody_client.address import find_address, pool_name
from custody_client.calls import Calls
from custody_client.errors import NoAnswerError, NoBrokerError, TaskFailed
from custody_client.limits import checked_json, cut_reason
from custody_client.link import Link
from custody_client.retrying import Retry
from custody_client.watch import watched
from custody_client.wire import ENDS, Event, Explanation, Fate, Submitted, TaskState, subject_token

CONNECT_S = 10.0
LOOK_S = 2.0
"""How often a task that is waited for is looked at, beside its events."""


class Client:
    """A client of one pool: `async with Client() as client`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        pool: str | None = None,
        credentials: str | os.PathLike[str] | None = None,
        actor: str | None = None,
        connect_s: float | None = CONNECT_S,
    ) -> None:
        """Nothing is connected yet; `async with` does that.

        Args:
            url: The broker's address; else `CUSTODY_NATS`, else that of `./.custody`.
            pool: Else `CUSTODY_POOL`, else `default`.
            credentials: A file of credentials; else `CUSTODY_CREDENTIALS`.
            actor: Who commands are from, for the record.
            connect_s: How long to wait for a broker at first; None: for ever. Later it is waited for for ever.
        """
        self.pool = pool_name(pool)
        self._find = partial(find_address, url, credentials=credentials)
        self._actor = actor
        self._connect_s = connect_s
        self._opened: Calls | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            AddressError: nothing says where the broker is, or what says it is no address.
            CredentialsError: the broker does not take the credentials.
            NoBrokerError: none answered in time.
        """
        self._find()
        link = Link(self._find, "custody client", may_fail=True)
        await link.open()
        try:
            await link.wait_up(self._connect_s)
        except BaseException:
            await link.close()
            raise
        self._opened = Calls(link, self.pool, actor=self._actor)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._calls.link.close()

    @property
    def _calls(self) -> Calls:
        if self._opened is None:
            raise ValueError("`async with client` comes first")
        return self._opened

    async def submit(  # noqa: PLR0913 - a task's definition
        self,
        kind: str | None = None,
        payload: Any = None,
        *,
        task_id: str | None = None,
        title: str = "",
        requires: Sequence[str] = (),
        priority: str = "medium",
        labels: Sequence[str] = (),
        deadline: datetime | timedelta | None = None,
        not_before: datetime | timedelta | None = None,
        retry: Retry | None = None,
        **more: Any,
    ) -> Task:
        """Submit a task, and return it. With a `task_id` the same submit again changes nothing and succeeds.

        Args:
            kind: What kind of task it is: a capability that its holder must have.
            payload: The input: a model, struct, dataclass or JSON values, at most 64 KiB as JSON.
            task_id: Its name; None: a new one is made.
            title: One line for people.
            requires: Further capabilities that its holder must have.
            priority: `low`, `medium`, `high` or `critical`.
            labels: Free labels.
            deadline: When it fails, whatever its status: a moment, or so long from now.
            not_before: Until when no agent is granted it: a moment, or so long from now.
            retry: How often it may fail, and how long it waits then.
            more: Other fields of `ops.submit`, such as `budgets`, `lease`, `stall_s`.

        Raises:
            TaskExists: the id is taken by another definition.
            InvalidCommand: a field is not as the contract has it.
            TooLargeError: the payload takes more than 64 KiB.
        """
        body: dict[str, Any] = {
            "task_id": task_id,
            "title": title,
            "payload": checked_json(payload, "payload"),
            "priority": priority,
            "labels": list(labels),
            "required_capabilities": list(dict.fromkeys([*([kind] if kind else []), *requires])),
            **_moment("deadline", "deadline_s", deadline),
            **_moment("not_before", "delay_s", not_before),
        }
        if retry is not None:
            fields = retry.as_submit()
            body |= {"retry": fields["retry"], "budgets": {**fields["budgets"], **more.pop("budgets", {})}}
        answer = await self._calls.command("ops.submit", {**body, **more})
        submitted = answer.read(Submitted)
        return Task(self._calls, submitted.task_id, was=submitted.was)

    def task(self, task_id: str) -> Task:
        """Return a task by its name; nothing is asked yet."""
        return Task(self._calls, task_id)

    async def act(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Carry out an operator's command, such as `act("drain", agent_id="a1")`; return its result.

        Raises:
            Refused: it was not carried out; of the class of its code.
        """
        return (await self._calls.command(f"ops.{verb}", fields)).read(dict[str, Any])

    async def query(self, view: str, **fields: Any) -> dict[str, Any]:
        """Ask for a view, such as `query("agents")`; return it."""
        return (await self._calls.query(view, fields)).read(dict[str, Any])

    async def watch(
        self, kind: str | None = None, *, task_id: str | None = None, after: int | None = None
    ) -> AsyncIterator[Event]:
        """Yield events as they happen, each once and in order, over restarts of the service and the broker.

        Args:
            kind: Only events of this name, such as `expired` or `agent.lost`.
            task_id: Only those about this task.
            after: From the position after this one on; None: from now on.
        """
        async for event in watched(self._calls, after):
            if kind is not None and kind not in {event.name, f"{event.entity}.{event.name}"}:
                continue
            if task_id is None or event.task_id == task_id:
                yield event


class Task:
    """A task that was submitted."""

    def __init__(self, calls: Calls, task_id: str, *, was: str | None = None) -> None:
        self._calls = calls
        self.task_id = task_id
        self.was = was
        """Whether the submit found it `new`, `known` or `ended`; None: it was not submitted here."""

    async def state(self) -> TaskState:
        """Return how it stands; raises UnknownTask if it was never submitted."""
        return (await self._calls.query("task", {"task_id": self.task_id})).read(TaskState)

    async def explain(self) -> Explanation:
        """Return where it is, why, and what happens next; raises UnknownTask if it was never submitted."""
        return (await self._calls.query("explain", {"task_id": self.task_id})).read(Explanation)

    async def result(self, timeout_s: float | None = None) -> Any:
        """Wait until it has ended, and return its result. Waits on over restarts of the service and the broker.

        Raises:
            TaskFailed: it failed or was cancelled.
            TimeoutError: it did not end in time.
            UnknownTask: it was never submitted.
        """
        async with asyncio.timeout(timeout_s):
            state = await self._ended()
        outcome = state.outcome
        if state.status != "completed":
            raise TaskFailed(self.task_id, state.status, outcome.detail if outcome else None)
        return outcome.result if outcome else None

    async def cancel(self, reason: str | None = None) -> Fate:
        """Cancel it, in whatever status but a final one; its holder is told to stop."""
        body = {"task_id": self.task_id, "reason": cut_reason(reason) if reason else None}
        return (await self._calls.command("ops.cancel", body)).read(Fate)

    async def _ended(self) -> TaskState:
        """Return how it stands once it has ended. Its events tell when to look; they may be missed, or not be heard."""
        happened = asyncio.Event()

        async def hear(message: Msg) -> None:
            if message.subject.rpartition(".")[2] in ENDS:
                happened.set()

        link = self._calls.link
        subject = f"custody.{self._calls.pool}.feed.task.{subject_token(self.task_id)}.*"
        while True:
            with contextlib.suppress(NoAnswerError, NoBrokerError):
                async with link.subscribed(subject, hear):
                    connection = link.connections
                    while link.connections == connection and link.problem is None:
                        state = await self.state()
                        if state.ended:
                            return state
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(LOOK_S):
                                await happened.wait()
                        happened.clear()

    def __repr__(self) -> str:
        return f"Task({self.task_id!r})"


def _moment(at: str, after: str, value: datetime | timedelta | None) -> dict[str, Any]:
    """Return the field of a moment, or of a length of time from now."""
    if value is None:
        return {}
    if isinstance(value, timedelta):
        return {after: value.total_seconds()}
    return {at: value.astimezone().isoformat()}
