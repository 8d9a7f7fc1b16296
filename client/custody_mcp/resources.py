"""Resources: a task, its history and its hand-off, to read without a tool."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import ResourceSecurity
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from custody_client import CustodyError, Event, UnknownTask
from custody_mcp.asking import Asking
from custody_mcp.briefing import DATA, at, description
from custody_mcp.desk import Desk
from custody_mcp.marked import as_json
from custody_mcp.words import in_words

TASK = "custody://task/{task_id}"
_ANY_ID = ResourceSecurity(exempt_params={"task_id"})
"""A task's id is no path: it may have slashes and dots."""


class Resources:
    """What there is to read, for a worker and for an operator."""

    def __init__(self, asking: Asking, desk: Desk | None) -> None:
        """`desk`: the worker's, whose own tasks are read without asking."""
        self._asking = asking
        self._desk = desk

    def add_to(self, server: MCPServer[Any]) -> None:
        """Offer them. A slash or `#` in a task's id is escaped in the address (`%2F`, `%23`)."""
        for uri, read, mime_type in (
            (TASK, self.task, "application/json"),
            (f"{TASK}/history{{?after}}", self.history, "text/plain"),
            (f"{TASK}/handoff", self.handoff, "text/plain"),
        ):
            server.resource(uri, mime_type=mime_type, security=_ANY_ID)(read)

    async def task(self, task_id: str) -> str:
        """A task: status, holder, definition, budgets, outcome."""
        try:
            return as_json({"about": DATA, "task": await self._asking.query("task", task_id=task_id)})
        except CustodyError as error:
            raise _unreadable(error) from error

    async def history(self, task_id: str, after: int = 0) -> str:
        """A task's events, 200 at most; after: the position that the reading before ended with."""
        try:
            found = await self._asking.history(task_id, after)
        except CustodyError as error:
            raise _unreadable(error) from error
        if not found.events and not after:
            raise ResourceNotFoundError(f"There is no task {task_id}.")
        lines = [f"Events of task {task_id}: position, time, name, actor, data. {DATA}", *map(_line, found.events)]
        if found.more:
            lines.append(f"There are more: read on with ?after={found.events[-1].position}")
        return "\n".join(lines)

    async def handoff(self, task_id: str) -> str:
        """What the next holder of a task has to know; of one that this agent holds, its briefing."""
        held = self._desk.held if self._desk is not None else []
        own = next((each for each in held if each.task_id == task_id), None)
        if own is not None:
            return own.briefing(with_fields=True)
        try:
            return description(await self._asking.task(task_id))
        except CustodyError as error:
            raise _unreadable(error) from error


def _line(event: Event) -> str:
    return f"{event.position} {at(event.time)} {event.name} {as_json(event.actor)} {as_json(event.data)}"


def _unreadable(error: CustodyError) -> ResourceError:
    """Return an error that the client is told; a user of the broker that may not ask gets no answer at all."""
    return (ResourceNotFoundError if isinstance(error, UnknownTask) else ResourceError)(in_words(error))
