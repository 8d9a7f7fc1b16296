"""The pool's tasks, agents, steals and statistics, now or at a position of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from custody_dashboard.past.named_moments import moment_asked
from custody_dashboard.web.api_error import bad_request, not_found
from custody_dashboard.web.json_reply import JsonReply
from custody_dashboard.web.parameters import Parameters, checked_agent_id, checked_task_id
from domain.statuses import TaskStatus
from domain.timestamps import format_timestamp
from handlers.follower.task_lists import TaskLists
from projections.live.activity import DAY_MINUTES
from projections.live.live_view import latest_steals
from projections.live.task_rows import SORTS, TaskFilter, task_row
from projections.live.task_story import task_page
from projections.queries.documents import agent_document
from projections.queries.statistics_view import kept_statistics

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.requests import Request

    from custody_dashboard.endpoints.context import Context
    from handlers.memory.memory import Memory
    from projections.live.live_view import LiveView, Reading

MAX_WINDOW = 500
DEFAULT_WINDOW = 100
MAX_OFFSET = 10_000_000
MAX_STEALS = 200
MOMENT = ("position", "at")
"""The parameters that name a moment of the past."""
STATUSES = frozenset({"live", "ended", *(each.value for each in TaskStatus if each is not TaskStatus.NEW)})


class _Looked(NamedTuple):
    """What one request looks at."""

    reading: Reading
    view: LiveView
    memory: Memory
    past: bool


class NowEndpoints:
    """The endpoints that show the pool in detail."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lists = TaskLists(context.watch.clock)

    async def tasks(self, request: Request) -> JsonReply:
        """Answer with a window of the tasks that fit a filter."""
        self._context.person(request)
        given = Parameters(
            request.query_params,
            ("status", "label", "agent", "q", "sort", "desc", "offset", "limit", *MOMENT),
        )
        wanted = TaskFilter(
            status=given.choice("status", STATUSES, "live"),
            label=given.text("label"),
            agent_id=given.agent_id("agent"),
            q=given.text("q") or "",
            sort=given.choice("sort", SORTS, "task_id") or "task_id",
            desc=given.flag("desc"),
        )
        offset = given.number("offset", 0, 0, MAX_OFFSET)
        limit = given.number("limit", DEFAULT_WINDOW, 1, MAX_WINDOW)
        reading, _, _, past = await self._look(given)
        state, now = reading.state, reading.now
        listed = self._lists.listed(wanted, state, keep=not past)
        tasks = listed.tasks
        return JsonReply(
            {
                "position": listed.position,
                "now": format_timestamp(now),
                "total": len(tasks),
                "offset": offset,
                "rows": [task_row(task, state, now) for task in tasks[offset : offset + limit]],
            }
        )

    async def task(self, request: Request) -> JsonReply:
        """Answer with all about one task; from the log, if it ended long ago."""
        self._context.person(request)
        given = Parameters(request.query_params, ("id", *MOMENT))
        task_id = _id_of(request, given, "task", checked_task_id)
        looked = await self._look(given)
        found = await self._context.watch.close_ups.task(task_id, looked.reading.state, past=looked.past)
        if found is None:
            raise not_found(f"no task {task_id} was submitted {'by then' if looked.past else 'to this pool'}")
        reading, _, _, past = await self._look_again(looked, given)
        state, now = reading.state, reading.now
        return JsonReply(
            {
                "position": state.position,
                "now": format_timestamp(now),
                "past": past,
                **task_page(found.task, found.story, state, now),
            }
        )

    async def agent(self, request: Request) -> JsonReply:
        """Answer with all about one agent."""
        self._context.person(request)
        given = Parameters(request.query_params, ("id", *MOMENT))
        agent_id = _id_of(request, given, "agent", checked_agent_id)
        looked = await self._look(given)
        found = await self._context.watch.close_ups.agent(agent_id, looked.reading.state, past=looked.past)
        if found is None:
            raise not_found(f"no agent {agent_id} was registered {'by then' if looked.past else 'in this pool'}")
        reading, view, _, past = await self._look_again(looked, given)
        state, now = reading.state, reading.now
        agent = found.agent
        held = [state.tasks[task_id] for task_id in state.held_by(agent_id)]
        heard_at = reading.heard_at(agent_id)
        lanes = view.history.lanes.document(now)
        return JsonReply(
            {
                "position": state.position,
                "now": format_timestamp(now),
                "past": past,
                "agent": None if agent is None else agent_document(agent, len(held), held, heard_at),
                "row": view.agents.rows().get(agent_id),
                "tasks": [task_row(task, state, now) for task in held[:MAX_WINDOW]],
                "lane": lanes["agents"].get(agent_id, []),
                **found.story.document(),
            }
        )

    async def steals(self, request: Request) -> JsonReply:
        """Answer with the open steals and the latest ended ones."""
        self._context.person(request)
        reading, _, _, past = await self._look(Parameters(request.query_params, MOMENT))
        steals = latest_steals(reading.state, MAX_STEALS)
        return JsonReply({"position": reading.state.position, "past": past, "steals": steals})

    async def statistics(self, request: Request) -> JsonReply:
        """Answer with counts, and the last day minute by minute.

        `last_hour_since`, `series_since`: what they count begins only then, since a history has its limits; null: they
        are complete.
        """
        self._context.person(request)
        reading, view, memory, past = await self._look(Parameters(request.query_params, MOMENT))
        state, now = reading.state, reading.now
        activity = view.history.activity
        return JsonReply(
            {
                "position": state.position,
                "now": format_timestamp(now),
                "past": past,
                "statistics": kept_statistics(state, memory.statistics.totals(), now),
                "last_hour": activity.sums(now),
                "last_hour_since": _time(activity.incomplete_until(now)),
                "series": {"minute": activity.series(now, len(state.indexes.backlog))},
                "series_since": _time(activity.incomplete_until(now, DAY_MINUTES)),
            }
        )

    async def _look(self, given: Parameters) -> _Looked:
        """Return what a request looks at: the present, or the moment that it names.

        A state of the past is moved on for other requests: what is read of it has to be read before the next `await`.
        """
        watch = self._context.watch
        moment = await moment_asked(watch.follower, given)
        if moment is None:
            return _Looked(watch.reading(), watch.view, watch.follower.memory, past=False)
        found = await self._context.past.at(moment)
        return _Looked(found.reading(), found.view, found.memory, past=True)

    async def _look_again(self, looked: _Looked, given: Parameters) -> _Looked:
        """Return what a request looks at, after an `await`: another request may have moved a state of the past on."""
        return await self._look(given) if looked.past else looked


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_timestamp(at)


def _id_of(request: Request, given: Parameters, kind: str, checked: Any) -> str:
    """Return the id that an address names, as a part of its path or as `?id=`. Raises ApiError."""
    in_path = request.path_params.get("id")
    if in_path and "id" in given:
        raise bad_request("name the id in the path or as ?id=, not both")
    text = in_path or given.raw("id")
    if not text:
        raise bad_request(f"name the {kind}, as ?id=…")
    found: str = checked(text)
    return found
