"""Which task a piece of code works on: for log lines, and for code that is far from its handler."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any, NamedTuple


class WorkingOn(NamedTuple):
    """The task that the current coroutine or thread works on."""

    task_id: str
    token: int
    attempt: int
    agent: str


_current: ContextVar[WorkingOn | None] = ContextVar("custody_working_on", default=None)


def working_on() -> WorkingOn | None:
    """Return the task that the calling code works on; None outside of a handler."""
    return _current.get()


def set_working_on(task: WorkingOn | None) -> None:
    """Say what is worked on from here, in this context."""
    _current.set(task)


class TaskFields(logging.Filter):
    """Adds `task_id`, `token`, `attempt` and `agent` to each record, empty outside of a handler.

    Add it to a logging handler whose format names them: `"%(task_id)s %(token)s %(message)s"`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with the fields."""
        task = _current.get()
        fields: dict[str, Any] = dict.fromkeys(WorkingOn._fields, "") if task is None else task._asdict()
        for name, value in fields.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
