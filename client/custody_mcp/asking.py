"""Questions and operators' commands within the time of one call, and the log's events of one task."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from custody_client import Event, NoAnswerError, TaskState
from custody_client.address import Address
from custody_client.calls import Calls
from custody_client.clock import steady_s
from custody_client.link import Link
from custody_client.wire import decoded, subject_token

ANSWER_S = 15.0
"""How long one question or command may take; a call has to stay under 25 s."""
MAX_EVENTS = 200
"""Of a task, in one reading of its history."""


class _Stored(msgspec.Struct):
    seq: int
    data: str = ""


class _Read(msgspec.Struct):
    message: _Stored | None = None


class History(NamedTuple):
    """Events of a task in their order; `more`: whether others follow."""

    events: list[Event]
    more: bool


class Asking:
    """Asks one pool: `async with Asking(...) as asking`. It connects when it is asked first."""

    def __init__(self, find: Callable[[], Address], pool: str, *, actor: str) -> None:
        """`actor`: who commands are from, for the record."""
        self._pool = pool
        self._link = Link(find, f"custody mcp {actor}", may_fail=True)
        self._calls = Calls(self._link, pool, actor=actor)

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._link.close()

    async def query(self, view: str, **fields: Any) -> dict[str, Any]:
        """Ask for a view.

        Raises:
            Refused: there is no answer to it.
            NoAnswerError: there was none in time. A user of the broker that may not ask gets none, either.
        """
        return (await self._calls.query(view, fields, limit_s=ANSWER_S)).read(dict[str, Any])

    async def task(self, task_id: str) -> TaskState:
        """Return how a task stands; raises UnknownTask if it was never submitted, else as `query`."""
        return (await self._calls.query("task", {"task_id": task_id}, limit_s=ANSWER_S)).read(TaskState)

    async def command(self, verb: str, fields: Mapping[str, Any], command_id: str) -> dict[str, Any]:
        """Carry out an operator's command, and return its result. Under one `command_id` that is done once.

        Raises:
            Refused: it was not carried out.
            NoAnswerError: whether it was carried out is not known.
        """
        answer = await self._calls.command(f"ops.{verb}", fields, limit_s=ANSWER_S, command_id=command_id)
        return answer.read(dict[str, Any])

    async def history(self, task_id: str, after: int = 0) -> History:
        """Return a task's events after a position, `MAX_EVENTS` at most; raises NoAnswerError as `query`."""
        events: list[Event] = []
        subject = f"custody.{self._pool}.evt.task.{subject_token(task_id)}.>"
        ends_at = steady_s() + ANSWER_S
        await self._link.wait_up(ANSWER_S)
        while (left_s := ends_at - steady_s()) > 0:
            request = msgspec.json.encode({"seq": after + 1, "next_by_subj": subject})
            reply = await self._link.request(f"$JS.API.STREAM.MSG.GET.CUSTODY_{self._pool}", request, left_s)
            stored = decoded(reply.data, _Read).message
            if stored is None:
                return History(events, more=False)
            if len(events) == MAX_EVENTS:
                break
            events.append(decoded(base64.b64decode(stored.data), Event))
            after = stored.seq
        if not events:
            raise NoAnswerError(f"the log gave no answer in {ANSWER_S:g} s")
        return History(events, more=True)
