"""`custody notify`: chosen events and what needs people, posted to webhooks and chat tools."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.timestamps import format_timestamp
from infra.cli.session.command_error import CommandError
from infra.cli.session.session import Session
from infra.host.clock import SystemClock
from infra.settings.sources import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.notifier.outbox import DeadLetter, EndpointStatus
    from infra.cli.terminal.output import Output
    from infra.notify.notify_config import NotifyConfig
    from infra.notify.outbox_desk import OutboxDesk


async def notify(
    session: Session,
    *,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="The endpoints, and what each is told, as TOML.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what a start now would send, and send nothing.")
    ] = False,
    after: Annotated[
        int | None,
        typer.Option(
            "--after",
            min=0,
            help="Where a dry run begins, behind a position; 0 is the whole log. Default: where the last run ended",
        ),
    ] = None,
    test: Annotated[
        str | None, typer.Option("--test", metavar="ENDPOINT", help="Send a test message to an endpoint, and end.")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Show how far each endpoint is, and end.")] = False,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Show the messages that were given up, and end.")
    ] = False,
    retry_dead: Annotated[
        bool, typer.Option("--retry-dead", help="Queue the messages that were given up again, and end.")
    ] = False,
    enable: Annotated[
        str | None,
        typer.Option("--enable", metavar="ENDPOINT", help="Use an endpoint again that answered 410 Gone, and end."),
    ] = None,
) -> None:
    """Post chosen events, and what needs people, to webhooks and chat tools, without losing one."""
    from handlers.notifier.outbox import OutboxUnavailableError
    from handlers.projector.read_model import ReadModelError
    from infra.host.log_output import configure_logging
    from infra.notify.notify_config import NotifyConfigError, load_config

    if session.settings.log_format == "json":
        configure_logging(session.settings.log_level, as_json=True)
    chosen = [dry_run, test is not None, status, dead_letters, retry_dead, enable is not None]
    if sum(chosen) > 1:
        raise typer.BadParameter("give one of them", param_hint="--dry-run, --test, --status, --dead-letters, …")
    if after is not None and not dry_run:
        raise typer.BadParameter("only with --dry-run", param_hint="--after")
    try:
        loaded = load_config(config)
        if test is not None:
            await _test(session, loaded, test)
        elif dry_run:
            from infra.cli.session.notify_run import dry_run_lines

            async for line in dry_run_lines(session, loaded, after):
                _show_would_be_sent(session.out, line)
        elif any(chosen):
            _look(session, loaded, status=status, dead=dead_letters, retry=retry_dead, enable=enable)
        else:
            from infra.cli.session.notify_run import run_notifier

            await run_notifier(session, loaded)
    except NotifyConfigError as error:
        raise SettingsError(str(error)) from None
    except (ReadModelError, OutboxUnavailableError) as error:
        raise CommandError(str(error)) from None


async def _test(session: Session, config: NotifyConfig, name: str) -> None:
    """Send one message to an endpoint, whatever it wants. Raises CommandError if it is not delivered."""
    from handlers.notifier.message import TEST, Message, message_id
    from handlers.notifier.retry_rules import Verdict
    from infra.notify.webhook_post import WebhookPost
    from infra.notify.webhook_secrets import access_of

    endpoint = next((each for each in config.endpoint if each.name == name), None)
    if endpoint is None:
        raise _no_endpoint(name, [each.name for each in config.endpoint])
    pool, clock = session.settings.pool, SystemClock()
    now = clock.now()
    text = f"this is a test of the endpoint {name} of pool {pool}: nothing happened"
    data = {"pool": pool, "position": 0, "kind": "test", "text": text}
    message = Message(name, message_id(pool, 0, name, format_timestamp(now)), 0, TEST, now, data)
    async with WebhookPost(config, endpoint, access_of(endpoint), clock) as post:
        verdict, reason, _ = await post(message)
    if verdict is not Verdict.DELIVERED:
        raise CommandError(f"endpoint {name}: {reason}")
    session.out.line(f"endpoint {name}: took the test message {message.message_id}")


def _no_endpoint(name: str, known: Sequence[str]) -> CommandError:
    return CommandError(f"there is no endpoint {name}; there are {', '.join(known) or 'none'}")


def _look(session: Session, config: NotifyConfig, *, status: bool, dead: bool, retry: bool, enable: str | None) -> None:
    """Show or change what is on disk; a notifier that runs sees a change within seconds."""
    from infra.notify.outbox_desk import OutboxDesk
    from infra.notify.state_file import StateFile

    if not config.state_file.exists():
        raise CommandError(f"there is no {config.state_file} yet: the notifier has not run")
    file = StateFile(config.state_file, session.settings.pool)
    desk = OutboxDesk(file)
    try:
        if status:
            _show_status(session.out, desk.statuses())
        elif dead:
            _show_dead(session.out, desk.dead_letters())
        elif retry:
            count = desk.retry_dead(datetime.now(UTC))
            session.out.line(f"{count} queued again; the notifier sends them")
        elif enable is not None:
            _enable(session.out, desk, enable)
    finally:
        file.close()


def _enable(out: Output, desk: OutboxDesk, name: str) -> None:
    known = [each.name for each in desk.statuses()]
    if name not in known:
        raise _no_endpoint(name, known)
    desk.enable(name)
    out.line(f"endpoint {name} is in use; --retry-dead queues what was given up")


def _show_status(out: Output, statuses: Sequence[EndpointStatus]) -> None:
    columns = ("endpoint", "position", "pending", "dead", "dropped", "last_success", "disabled", "last_failure")
    rows = [
        (
            *(each.name, each.position, each.pending, each.dead, each.dropped),
            None if each.last_success is None else format_timestamp(each.last_success),
            each.disabled,
            each.last_failure,
        )
        for each in statuses
    ]
    if out.as_json:
        for row in rows:
            out.json_line(dict(zip(columns, row, strict=True)))
    else:
        out.table(columns, rows)


def _show_dead(out: Output, letters: Sequence[DeadLetter]) -> None:
    for message, attempts, reason, at in letters:
        if out.as_json:
            out.json_line(
                {
                    "endpoint": message.endpoint,
                    "message_id": message.message_id,
                    "type": message.type,
                    "position": message.position,
                    "time": format_timestamp(message.time),
                    "given_up_at": format_timestamp(at),
                    "attempts": attempts,
                    "reason": reason,
                    "data": message.data,
                }
            )
        else:
            out.line(
                f"{message.endpoint}  {message.message_id}  {format_timestamp(at)}  "
                f"{message.data['text']}  ({attempts} attempts; {reason})"
            )
    if not letters and not out.as_json:
        out.line("no dead letters")


def _show_would_be_sent(out: Output, line: dict[str, str]) -> None:
    if out.as_json:
        out.json_line(line)
    else:
        out.line(f"{line['endpoint']}  {line['message_id']}  {line['body']}")
