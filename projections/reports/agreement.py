"""Comparing a service's answers with the fold of its log at the position of each answer.

Fields that depend on the clock or on the service's own memory are not compared: how much of a lease is left, when an
agent was heard.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pydantic_core

from domain.lifecycles import STEAL_ENDS, TERMINAL
from domain.limits import MAX_PAGE
from domain.policies.load_balancing import LoadStatus
from projections.queries.answers import answer
from projections.queries.questions import (
    AgentsQuery,
    BacklogQuery,
    LeasesQuery,
    StealsQuery,
    TasksQuery,
    WorkloadsQuery,
)
from projections.queries.statistics_view import statistics_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from projections.queries.pool_copy import PoolCopy
    from projections.queries.questions import Page

_TERMINAL = frozenset(each.value for each in TERMINAL)
_ENDED_STEALS = frozenset(each.value for each in STEAL_ENDS)
_CLOCKED_COUNTS = frozenset(
    {
        *("delayed", "leases.active", "leases.expiring_soon", "leases.in_grace"),
        *(f"loads.{status.value}" for status in LoadStatus),
    }
)
"""Counts that depend on the service's clock, which the log does not have."""


class _ListedView(NamedTuple):
    """A view that lists entities in the order of their ids."""

    query: type[Page]
    entity: str
    id: str
    clocked: frozenset[str] = frozenset()
    """Fields that depend on the time of the answer or on the service's memory; not compared."""
    ended: frozenset[str] = frozenset()
    """Statuses in which a row may be missing on either side: services keep the last entities that ended."""


LISTED_VIEWS = {
    "tasks": _ListedView(TasksQuery, "task", "task_id", ended=_TERMINAL),
    "leases": _ListedView(LeasesQuery, "lease of", "task_id", clocked=frozenset({"status", "left_s"})),
    "agents": _ListedView(AgentsQuery, "agent", "agent_id", clocked=frozenset({"heard_at"})),
    "workloads": _ListedView(WorkloadsQuery, "workload of", "agent_id", clocked=frozenset({"load_status"})),
    "steals": _ListedView(StealsQuery, "steal", "operation_id", ended=_ENDED_STEALS),
}
"""The views that are compared row by row."""


def page_differences(view: str, result: Mapping[str, Any], after: str | None, copy: PoolCopy) -> Iterator[str]:
    """Yield the differences between a page of a service's answer and the log, one line each.

    `after`: the cursor of the page's request; `copy`: the fold at the page's position.
    """
    listed = LISTED_VIEWS[view]
    answered = {str(row[listed.id]): row for row in result[view]}
    ours = _rows(view, listed, copy, after, result["next"], answered)
    for name in sorted(answered.keys() | ours.keys()):
        said, folded = answered.get(name), ours.get(name)
        if said is None or folded is None:
            row = said or folded or {}
            if row.get("status") in listed.ended:
                continue
            what = "the log makes none, and the service shows it" if folded is None else "the service does not show it"
            yield f"{listed.entity} {name}: {what}"
            continue
        for field in sorted((said.keys() | folded.keys()) - listed.clocked):
            if said.get(field) != folded.get(field):
                yield (
                    f"{listed.entity} {name}: the service says {field} {_shown(said.get(field))}, "
                    f"and the log makes it {_shown(folded.get(field))}"
                )
                break


def _rows(
    view: str, listed: _ListedView, copy: PoolCopy, after: str | None, last: str | None, named: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the log's rows of the page after the cursor `after` and up to `last`; None: the end of the view."""

    def within(name: str) -> bool:
        return (after is None or name > after) and (last is None or name <= last)

    page_state = copy._replace(
        # An agent's row names the tasks that it holds, and their ids may lie outside the page.
        tasks={name: each for name, each in copy.tasks.items() if view == "agents" or within(name)},
        recent={name: each for name, each in copy.recent.items() if name in named},
        agents={name: each for name, each in copy.agents.items() if within(name)},
        steals={name: each for name, each in copy.steals.items() if within(name)},
    )
    rows: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        page = _plain(answer(listed.query(limit=MAX_PAGE, after=cursor), page_state))
        rows.update((row[listed.id], row) for row in page[view])
        cursor = page["next"]
        if cursor is None:
            return rows


def backlog_differences(result: Mapping[str, Any], copy: PoolCopy) -> Iterator[str]:
    """Yield the differences between the first page of a service's backlog and the log: the counts, and the order.

    The place of a task with a `not_before` depends on the service's clock, and so does any place where priorities age.
    """
    ours = _plain(answer(BacklogQuery(limit=MAX_PAGE), copy))
    for name in ("queued", "by_priority"):
        if result[name] != ours[name]:
            yield f"backlog: the service says {name} {_shown(result[name])}, and the log makes it {_shown(ours[name])}"
    if copy.aging_s:
        return
    said, folded = (
        [row["task_id"] for row in each["tasks"] if row.get("not_before") is None] for each in (result, ours)
    )
    for place, (one, other) in enumerate(zip(said, folded, strict=False), start=1):
        if one != other:
            yield f"backlog: the service has {one} in place {place}, and the log {other}"
            return


def statistics_differences(result: Mapping[str, Any], copy: PoolCopy) -> Iterator[str]:
    """Yield the differences between a service's counts and the log's."""
    # What the sweeper found is the service's own count since its start.
    counts = {name: each for name, each in result.items() if name != "sweeper"}
    said, folded = _flat(counts), _flat(_plain(statistics_document(copy)))
    for name in sorted(said.keys() | folded.keys()):
        if name not in _CLOCKED_COUNTS and said.get(name) != folded.get(name):
            one, other = _shown(said.get(name)), _shown(folded.get(name))
            yield f"statistics: the service says {name} {one}, and the log makes it {other}"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    return {name: each for key, part in value.items() for name, each in _flat(part, f"{prefix}{key}.").items()}


def _plain(value: Any) -> Any:
    """Return a result in the form that it has on the wire."""
    return json.loads(pydantic_core.to_json(value))


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
