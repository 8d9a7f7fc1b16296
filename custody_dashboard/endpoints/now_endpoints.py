"""The pool's tasks, agents, steals and statistics, now or at a position of the past."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from custody_dashboard.past.named_moments import moment_at
from custody_dashboard.web.api_error import bad_request, not_found
from custody_dashboard.web.json_reply import JsonReply
from custody_dashboard.web.parameters import Parameters, checked_agent_id, checked_task_id
from domain.agent import Agent
from domain.events import Entity
from domain.statuses import TaskStatus
from domain.task import Task
from domain.timestamps import format_timestamp, seconds_between
from projections.live.live_view import latest_steals
from projections.live.task_rows import SORTS, TaskFilter, chosen_tasks, task_row
from projections.live.task_story import task_page
from projections.queries.documents import agent_document
from projections.queries.statistics_view import kept_statistics

if TYPE_CHECKING:
    from starlette.requests import Request

    from custody_dashboard.endpoints.context import Context
    from handlers.memory.memory import Memory
    from handlers.ports import Steady
    from projections.live.live_view import LiveView, Reading

MAX_WINDOW = 500
DEFAULT_WINDOW = 100
MAX_OFFSET = 10_000_000
LISTS_KEPT = 16
"""Sorted lists that are kept, one for each filter, the latest used."""
LIST_AGE_S = 0.5
"""A list is made anew at most so often while the pool changes."""
LIST_COST_FACTOR = 20.0
"""And so rarely that it takes at most a twentieth of the time."""
MAX_STEALS = 200
STATUSES = frozenset({"live", "ended", *(each.value for each in TaskStatus if each is not TaskStatus.NEW)})


class _List(NamedTuple):
    tasks: list[Task]
    position: int
    of: object
    made_at: Steady
    cost_s: float


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
        self._lists: OrderedDict[TaskFilter, _List] = OrderedDict()

    async def tasks(self, request: Request) -> JsonReply:
        """Answer with a window of the tasks that fit a filter."""
        self._context.person(request)
        given = Parameters(
            request.query_params,
            ("status", "label", "agent", "q", "sort", "desc", "offset", "limit", "position"),
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
        position, tasks = self._listed(wanted, reading, keep=not past)
        state, now = reading.state, reading.now
        return JsonReply(
            {
                "position": position,
                "now": format_timestamp(now),
                "total": len(tasks),
                "offset": offset,
                "rows": [task_row(task, state, now) for task in tasks[offset : offset + limit]],
            }
        )

    async def task(self, request: Request) -> JsonReply:
        """Answer with all about one task; from the log, if it ended long ago."""
        self._context.person(request)
        given = Parameters(request.query_params, ("id", "position"))
        task_id = _id_of(request, given, "task", checked_task_id)
        reading, _, _, past = await self._look(given)
        state, now = reading.state, reading.now
        story = await self._context.task_histories.of(task_id, state.position if past else None)
        task = state.task(task_id)
        if task is None:
            found = (
                await self._context.lookup.task_at(task_id, state.position)
                if past
                else await self._context.lookup.entity((Entity.TASK, task_id))
            )
            task = found if isinstance(found, Task) else None
        if task is None or story is None:
            raise not_found(f"no task {task_id} was submitted {'by then' if past else 'to this pool'}")
        return JsonReply(
            {
                "position": state.position,
                "now": format_timestamp(now),
                "past": past,
                **task_page(task, story, state, now),
            }
        )

    async def agent(self, request: Request) -> JsonReply:
        """Answer with all about one agent."""
        self._context.person(request)
        given = Parameters(request.query_params, ("id", "position"))
        agent_id = _id_of(request, given, "agent", checked_agent_id)
        reading, view, _, past = await self._look(given)
        state, now = reading.state, reading.now
        story = await self._context.agent_histories.of(agent_id, state.position if past else None)
        if story is None:
            raise not_found(f"no agent {agent_id} was registered {'by then' if past else 'in this pool'}")
        agent = state.agent(agent_id)
        if agent is None and not past:
            entity = await self._context.lookup.entity((Entity.AGENT, agent_id))
            agent = entity if isinstance(entity, Agent) else None
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
                **story.document(),
            }
        )

    async def steals(self, request: Request) -> JsonReply:
        """Answer with the open steals and the latest ended ones."""
        self._context.person(request)
        reading, _, _, past = await self._look(Parameters(request.query_params, ("position",)))
        steals = latest_steals(reading.state, MAX_STEALS)
        return JsonReply({"position": reading.state.position, "past": past, "steals": steals})

    async def statistics(self, request: Request) -> JsonReply:
        """Answer with counts, and the last day minute by minute."""
        self._context.person(request)
        reading, view, memory, past = await self._look(Parameters(request.query_params, ("position",)))
        state, now = reading.state, reading.now
        activity = view.history.activity
        return JsonReply(
            {
                "position": state.position,
                "now": format_timestamp(now),
                "past": past,
                "statistics": kept_statistics(state, memory.statistics.totals(), now),
                "last_hour": activity.sums(now),
                "series": {"minute": activity.series(now, len(state.indexes.backlog))},
            }
        )

    async def _look(self, given: Parameters) -> _Looked:
        """Return what a request looks at: the present, or the position that it names."""
        position = given.position("position")
        watch = self._context.watch
        if position is None:
            return _Looked(watch.reading(), watch.view, watch.follower.memory, past=False)
        found = await self._context.past.at(await moment_at(watch.follower, position, "position"))
        return _Looked(found.reading(), found.view, found.memory, past=True)

    def _listed(self, wanted: TaskFilter, reading: Reading, *, keep: bool) -> tuple[int, list[Task]]:
        """Return the tasks that fit, and the position at which they do."""
        state, clock = reading.state, self._context.watch.clock
        asked_at = clock.steady()
        kept = self._lists.get(wanted) if keep else None
        if kept is not None and kept.of is state:
            age_s = seconds_between(kept.made_at, asked_at)
            if kept.position == state.position or age_s < max(LIST_AGE_S, LIST_COST_FACTOR * kept.cost_s):
                self._lists.move_to_end(wanted)
                return kept.position, kept.tasks
        try:
            tasks = chosen_tasks(state, wanted)
        except ValueError as error:
            raise bad_request(str(error)) from None
        if keep:
            cost_s = seconds_between(asked_at, clock.steady())
            self._lists[wanted] = _List(tasks, state.position, state, asked_at, cost_s)
            while len(self._lists) > LISTS_KEPT:
                self._lists.popitem(last=False)
        return state.position, tasks


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
