"""Cursors: where a page of a view begins.

Most are the id of a page's last row. Those of the backlog and of the ended tasks are places in another order; they have
a blank, which no id has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from domain.events import Entity
from domain.names import is_name, is_task_id
from domain.refusal import Refused, invalid_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.entities import EntityKey

_BACKLOG = "after: "
_ENDED = "ended: "
_ROWS = {
    "tasks": Entity.TASK,
    "leases": Entity.TASK,
    "agents": Entity.AGENT,
    "workloads": Entity.AGENT,
    "steals": Entity.STEAL,
}
"""What the ids are of, in whose order a view is listed."""


def unknown_cursor(message: str) -> Refused:
    """Return the refusal of a cursor that leads nowhere."""
    return invalid_field("after", message)


def named_row(view: str, cursor: str) -> EntityKey | None:
    """Return the entity whose row of a view a cursor names; None if it is a cursor of another kind, or none."""
    entity = _ROWS.get(view)
    if entity is None or not (is_task_id if entity is Entity.TASK else is_name)(cursor):
        return None
    return (entity, cursor)


def backlog_cursor(place: tuple[float, ...]) -> str:
    """Return the cursor of what comes after a place in the order of grants."""
    return _BACKLOG + ",".join(map(repr, place))


def place_in_backlog(cursor: str, place_of: Callable[[str], tuple[float, ...] | None]) -> tuple[float, ...]:
    """Return the place that a cursor names: one of an earlier page, or the id of a task that is queued now.

    `place_of` returns the place of a queued task, None for any other name. Raises Refused.
    """
    known = place_of(cursor)
    if known is not None:
        return known
    place = re.fullmatch(rf"{_BACKLOG}(-?\d+(?:\.\d+)?(?:,-?\d+(?:\.\d+)?)*)", cursor, re.ASCII)
    if place is None:
        raise unknown_cursor("is neither the `next` of a page of the backlog nor a queued task")
    return tuple(float(each) for each in place[1].split(","))


def ended_cursor(before: int) -> str:
    """Return the cursor of the tasks that ended before a position, the latest first."""
    return f"{_ENDED}{before}"


def ended_before(cursor: str | None) -> int | None:
    """Return the position of such a cursor, None if it is of another kind. Raises Refused."""
    if cursor is None or not cursor.startswith(_ENDED):
        return None
    digits = re.fullmatch(rf"{_ENDED}(\d{{1,18}})", cursor, re.ASCII)
    if digits is None:
        raise unknown_cursor("is no `next` of a page of this view")
    return int(digits[1])
