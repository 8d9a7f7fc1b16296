"""A run of the notifier at a broker, and a dry one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from handlers.memory.catch_up import catch_up
from handlers.notifier.endpoint_sender import Limits
from handlers.notifier.notifier import Endpoint, Notifier
from handlers.notifier.preview import Preview
from handlers.notifier.subscription import Subscription
from handlers.projector.read_model import Source
from infra.broker.data_dir import lock_open_file
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_broker_log
from infra.cli.session.rebuilding import restore_memory
from infra.cli.terminal.output import print_error
from infra.cli.terminal.progress import errors_only
from infra.host.clock import SystemClock
from infra.host.log_output import logs_json
from infra.host.stop_signals import stop_signal
from infra.notify.health_poll import HealthPoll
from infra.notify.outbox_desk import OutboxDesk
from infra.notify.sqlite_outbox import SqliteOutbox
from infra.notify.state_file import StateFile
from infra.notify.webhook_post import WebhookPost
from infra.notify.webhook_secrets import access_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from handlers.memory.memory import Memory
    from infra.cli.session.log_opening import BrokerLog
    from infra.cli.session.session import Session
    from infra.notify.notify_config import EndpointConfig, NotifyConfig
    from infra.notify.webhook_secrets import Access


_LOG = logging.getLogger("custody.notify")


class _Reached(NamedTuple):
    """An endpoint, and how it is reached."""

    config: EndpointConfig
    access: Access
    post: WebhookPost


async def run_notifier(session: Session, config: NotifyConfig) -> None:
    """Notify until a signal. Raises NotifyConfigError, ReadModelError, CommandError."""
    pool, clock = session.settings.pool, SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        reached = [await _reach(stack, config, each) for each in config.endpoint]
        stack.enter_context(_only_one(config.state_file))
        file = StateFile(config.state_file, pool)
        stack.callback(file.close)
        outbox = SqliteOutbox(file, clock)
        log = await stack.enter_async_context(open_broker_log(session, live=True))
        poll = HealthPoll(log.api.connection, pool, clock)
        await stack.enter_async_context(poll.running())
        endpoints = [_endpoint(*each) for each in reached]
        jitter = random.Random()  # noqa: S311 # it only spreads retries
        notifier = Notifier(pool, _source(session, log), outbox, endpoints, lambda: poll.health, clock, jitter, _say)
        stack.callback(log.api.connection.reconnected.add(notifier.request_log_check))
        stop = asyncio.ensure_future(stop_signal().wait())
        stop.add_done_callback(lambda _: notifier.stop())
        stack.callback(stop.cancel)
        stack.enter_context(errors_only(logging.getLogger("handlers.memory.memory")))
        saying = asyncio.ensure_future(_say_when_it_follows(session, notifier, [each.name for each in endpoints]))
        stack.callback(saying.cancel)
        await notifier.run()
        if session.out.as_json:
            session.out.json_line({"status": "stopped", "position": notifier.position, "sent": notifier.sent})
        else:
            session.out.line(f"stopped at position {notifier.position}; {notifier.sent} messages sent")


def _say(line: str) -> None:
    """Say what has changed, on standard error."""
    if logs_json():
        _LOG.warning("%s", line)
    else:
        print_error(line)


async def _say_when_it_follows(session: Session, notifier: Notifier, names: Sequence[str]) -> None:
    await notifier.caught_up.wait()
    if session.out.as_json:
        session.out.json_line({"status": "following", "position": notifier.position, "endpoints": names})
    else:
        pool = session.settings.pool
        session.out.line(f"following pool {pool} from position {notifier.position} on: {', '.join(names)}")


async def dry_run_lines(session: Session, config: NotifyConfig, behind: int | None) -> AsyncIterator[dict[str, str]]:
    """Yield what a start now would send: the endpoint, the message's id and its body.

    Raises NotifyConfigError, ReadModelError, CommandError.
    """
    pool, clock = session.settings.pool, SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        reached = [await _reach(stack, config, each) for each in config.endpoint]
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="custody-notify-"))
        copy = Path(directory) / "copy.db"
        if config.state_file.exists() and behind is None:
            _copy(config.state_file, copy)
        file = StateFile(copy, pool)
        stack.callback(file.close)
        outbox = SqliteOutbox(file, clock)
        log = await stack.enter_async_context(open_broker_log(session, live=True))
        if behind is not None and behind > log.last:
            raise CommandError(f"position {behind} is past the end of the log, {log.last}")
        poll = HealthPoll(log.api.connection, pool, clock)
        await poll.ask()
        subscriptions = [_subscription(each.config) for each in reached]
        outbox.register({each.config.name: each.access.digest for each in reached}, log.last)
        with errors_only(logging.getLogger("handlers.memory.memory")):
            preview = Preview(pool, _source(session, log), outbox, subscriptions, lambda: poll.health, clock)
            await preview.fill(behind)
        desk = OutboxDesk(file)
        for config_, _, post in reached:
            for message in desk.pending(config_.name):
                yield {"endpoint": config_.name, "message_id": message.message_id, "body": post.body(message).decode()}


def _copy(state_file: Path, to: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(state_file)) as original,
        contextlib.closing(sqlite3.connect(to)) as copy,
    ):
        original.backup(copy)


async def _reach(stack: contextlib.AsyncExitStack, config: NotifyConfig, endpoint: EndpointConfig) -> _Reached:
    access = access_of(endpoint)
    post = WebhookPost(config, endpoint, access, SystemClock())
    return _Reached(endpoint, access, await stack.enter_async_context(post))


def _endpoint(config: EndpointConfig, access: Access, post: WebhookPost) -> Endpoint:
    limits = Limits(config.parallel, config.rate, config.max_age_s)
    return Endpoint(_subscription(config), post, limits, access.digest)


def _subscription(config: EndpointConfig) -> Subscription:
    return Subscription(
        config.name,
        config.events,
        config.needs,
        config.labels,
        config.agents,
        resolved=config.resolved,
        settle_s=config.settle_s,
    )


def _source(session: Session, log: BrokerLog) -> Source:
    async def memory_at(position: int) -> Memory:
        memory = await restore_memory(session, log, position)
        await catch_up(memory, log.log, until=position)
        return memory

    return Source(log.log, log.codec, memory_at)


@contextlib.contextmanager
def _only_one(state_file: Path) -> Iterator[None]:
    """Keep other notifiers from using the same state during the block. Raises CommandError if one does."""
    lock = state_file.with_name(f"{state_file.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CommandError(f"cannot write {lock}: {error.strerror}") from None
    try:
        try:
            lock_open_file(descriptor)
        except OSError:
            raise CommandError(f"{state_file} is in use by another notifier") from None
        yield
    finally:
        os.close(descriptor)
