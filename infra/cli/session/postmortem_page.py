"""A post-mortem's page, made of an open log: for the command that writes it, and for the dashboard that shows it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from domain.events.task import Leased, Stolen
from domain.subjects import subject_token
from handlers.memory.catch_up import catch_up
from handlers.ports import UnreadableEventError, evt_prefix
from infra.cli.session.command_error import CommandError
from infra.cli.session.open_log import OpenLog
from infra.cli.session.rebuilding import rebuild_memory
from infra.cli.session.session import Session
from infra.cli.terminal.progress import errors_only, progress_bar
from projections.postmortem.event_collector import EventCollector
from projections.postmortem.scope import Scope

if TYPE_CHECKING:
    from projections.postmortem.observed_events import CollectedEvents


class MadePage(NamedTuple):
    """A page, and how much of the log is on it."""

    html: str
    events: int
    left_out: int


async def make_page(
    session: Session,
    log: OpenLog,
    task: str | None,
    agent: str | None,
    span: tuple[int, int],
    limit: int,
) -> MadePage:
    """Return the page of what happened to a task, to an agent or in a range of positions; at most `limit` events.

    Raises:
        CommandError: nothing happened in that range.
    """
    first, last = span
    if task is not None:
        first, last = await _task_range(session, log, task, first, last)
    if first > last:
        raise _nothing_happened(task, agent)
    collected, unreadable = await _collected(session, log, task, agent, (first, last), limit)
    if not collected.events:
        raise _nothing_happened(task, agent)
    # In a thread, for the dashboard: the page of many events takes a while.
    text = await asyncio.to_thread(_page, session, _title(session, task, agent), collected, unreadable)
    return MadePage(text, len(collected.events), collected.dropped)


async def _task_range(session: Session, log: OpenLog, task: str, first: int, last: int) -> tuple[int, int]:
    """Return the range, narrowed to the task's events."""
    prefix = f"{evt_prefix(session.settings.pool)}task.{subject_token(task)}."
    begin = await log.last_matching(f"{prefix}submitted")
    end = await log.last_matching(f"{prefix}>")
    return max(first, begin), min(last, end)


async def _collected(
    session: Session, log: OpenLog, task: str | None, agent: str | None, span: tuple[int, int], limit: int
) -> tuple[CollectedEvents, int]:
    """Return the data of the page, and how many messages of the range cannot be read."""
    first, last = span
    also = await _held_by(session, log, agent, span) if agent is not None and task is None else frozenset()
    memory = await rebuild_memory(session, log, first - 1)
    state = memory.state
    if agent is not None and task is None:
        also |= frozenset(state.held_by(agent))
    skipped_before = memory.unreadable_count
    collector = EventCollector(Scope(task, agent, also), limit)
    collector.start_from(state)
    with errors_only(logging.getLogger("handlers.memory.memory")), progress_bar(last, session.out) as show:
        await catch_up(
            memory,
            log.log,
            until=last,
            progress=lambda read, _: show(read),
            seen=lambda recorded: collector.observe(recorded, state),
            indexed=True,
        )
    return collector.collected(state, session.settings.rules()), memory.unreadable_count - skipped_before


async def _held_by(session: Session, log: OpenLog, agent: str, span: tuple[int, int]) -> frozenset[str]:
    """Return the tasks that were granted to an agent, or stolen for it, within a range."""
    pool, found = session.settings.pool, set()
    for name in (Leased.name, Stolen.name):
        subjects = f"{evt_prefix(pool)}task.*.{name}"
        messages = log.matching(subjects, after=span[0] - 1, until=span[1])
        async with aclosing(messages) as chunks:
            async for chunk in chunks:
                for message in chunk:
                    try:
                        recorded = log.codec.decode(message)
                    except UnreadableEventError:
                        continue
                    if isinstance(recorded.event, Leased | Stolen) and recorded.event.agent_id == agent:
                        found.add(recorded.entity_id)
    return frozenset(found)


def _page(session: Session, title: str, collected: CollectedEvents, unreadable: int) -> str:
    from importlib.metadata import version

    from infra.reports.postmortem.render import Heading, page
    from projections.postmortem.report import postmortem as report
    from projections.reports.wording import count

    found = report(collected)
    notices = []
    if found.dropped:
        notices.append(
            f"{found.dropped} events are left out, repeats and then the older ordinary ones first;"
            f" {len(found.entries)} are shown, what went wrong before all else."
            " Narrow the range with --from and --to, or raise --limit."
        )
    if found.timeline.omitted:
        notices.append(f"{found.timeline.omitted} lanes are left out of the timeline; the events are all in the table.")
    if unreadable:
        notices.append(
            f"{count(unreadable, 'message')} of the range cannot be read, and every fold passes over what it cannot"
            " read; custody verify says which."
        )
    heading = Heading(title, session.settings.pool, f"custody {version('custody')}", datetime.now(UTC), tuple(notices))
    return page(found, heading)


def _nothing_happened(task: str | None, agent: str | None) -> CommandError:
    to_whom = f" to {_named(task, agent)}" if task or agent else ""
    return CommandError(f"nothing happened{to_whom} in that range")


def _named(task: str | None, agent: str | None) -> str:
    return " and ".join(f"{kind} {name}" for kind, name in (("task", task), ("agent", agent)) if name)


def _title(session: Session, task: str | None, agent: str | None) -> str:
    return _named(task, agent) or f"pool {session.settings.pool}"
