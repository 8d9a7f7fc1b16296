"""`custody whatif`: recorded behaviour under other settings."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.events.task import Stuck
from handlers.ports import UnreadableEventError, evt_prefix
from infra.cli.commands.whatif_output import show_csv, show_json, show_tables
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_log
from infra.cli.session.open_log import WHEN, WHEN_HELP, OpenLog, ToOption
from infra.cli.session.session import Session
from infra.cli.terminal.progress import progress_bar
from infra.host.atomic_file import FileWriteError
from infra.reports.report_error import ReportError
from infra.reports.whatif_plots import Plotter
from infra.reports.whatif_policies import read_policies
from infra.settings.contradictions import without_effect
from infra.settings.loading import with_changes
from projections.whatif.comparison import Comparison

if TYPE_CHECKING:
    from projections.whatif.comparison_result import ComparisonResult


_REPLAYS_AT_ONCE = 1_000
"""Events times policies between two yields to the event loop; some tens of milliseconds."""


class Format(StrEnum):
    """How a comparison is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


async def whatif(
    session: Session,
    *,
    policy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file of settings to try, under the names that `custody config` shows. May be repeated",
        ),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE,…", help="Values of a setting to try, each with each. May be repeated"),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar=WHEN, help=f"Look at leases granted from there: {WHEN_HELP}.")
    ] = None,
    to: ToOption = None,
    every_task: Annotated[
        bool, typer.Option("--every-task", help="Lease settings hold for tasks, too, that brought their own.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How it is written.", show_default=True)] = Format.TABLE,
    plot: Annotated[Path | None, typer.Option(help="Draw it to this file, .svg or .png; needs matplotlib.")] = None,
) -> None:
    """What other lease, sweeper and steal settings would have made of what the agents really did."""
    plotter = _plotter(plot)
    settings = session.settings
    policies = read_policies(policy or (), grid or (), settings, every_task=every_task)
    async with open_log(session) as log:
        if log.last < log.first:
            raise CommandError(f"pool {session.settings.pool} has no events yet")
        first, last = await log.first_from(from_, "--from"), await log.last_until(to, "--to")
        if first > last:
            raise CommandError(f"no event lies there: it would begin at position {first} and end at {last}")
        recorded = await _recorded_settings(session, log)
        if recorded:
            settings = with_changes(settings, recorded, "the log")
            policies = read_policies(policy or (), grid or (), settings, every_task=every_task)
        comparison = Comparison(session.settings.pool, settings.rules(), policies, since=first)
        await _replay(session, log, comparison, last)
    outcome = comparison.finish()
    if not outcome.leases:
        raise CommandError("no lease was granted there: there is nothing to replay")
    _show(session, outcome, format_)
    for line in without_effect(session.settings, changed_only=True):
        typer.echo(f"settings: {line}", err=True)
    if plotter is not None:
        try:
            plotter.draw(outcome)
        except (ReportError, FileWriteError) as error:
            raise CommandError(str(error)) from None


def _plotter(path: Path | None) -> Plotter | None:
    try:
        return None if path is None else Plotter(path)
    except ReportError as error:
        raise CommandError(str(error)) from None


async def _recorded_settings(session: Session, log: OpenLog) -> dict[str, Any]:
    """Return the settings that the log itself records: the latest `stuck` event has its threshold."""
    pool = session.settings.pool
    position = await log.last_matching(f"{evt_prefix(pool)}task.*.{Stuck.name}")
    message = await log.log.get(position) if position else None
    if message is None:
        return {}
    try:
        event = log.codec.decode(message).event
    except UnreadableEventError:
        return {}
    threshold_s = event.numbers.stuck_threshold_s if isinstance(event, Stuck) else None
    return {} if threshold_s is None else {"stuck_threshold_s": threshold_s}


async def _replay(session: Session, log: OpenLog, comparison: Comparison, last: int) -> None:
    at_once = max(_REPLAYS_AT_ONCE // comparison.replays, 1)
    with progress_bar(last, session.out) as show:
        async for chunk in log.log.read(after=log.first - 1, until=last):
            for message in chunk:
                if message.position % at_once == 0:
                    # A chunk takes long under many policies, and the broker's pings must be answered in time.
                    await asyncio.sleep(0)
                    show(message.position)
                try:
                    recorded = log.codec.decode(message)
                except UnreadableEventError:
                    comparison.skip(message.position)
                    continue
                comparison.take(recorded)


def _show(session: Session, outcome: ComparisonResult, format_: Format) -> None:
    if session.out.as_json or format_ is Format.JSON:
        show_json(session.out, outcome)
    elif format_ is Format.CSV:
        show_csv(outcome)
    else:
        show_tables(session.out, session.settings.pool, outcome)
