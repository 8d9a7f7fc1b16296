"""`custody up` and `custody serve`: the life of a service from its first line to its exit status."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any

from handlers.ports import LogUnavailableError
from handlers.writer import SupersededError
from infra.access import anonymous, auth_for
from infra.broker_binary import BrokerBinaryError
from infra.data_dir import DataDirError
from infra.embedded import BrokerOptions, BrokerStartError, EmbeddedBroker
from infra.nats import Auth, BrokerError, connect, without_password
from infra.serving import PoolServedError, PoolServer, refuse_if_served
from infra.stopping import stop_signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.settings import Settings

_LOG = logging.getLogger(__name__)
EXIT_OK = 0
EXIT_FAILED = 1


async def run_up(settings: Settings) -> int:
    """Run an embedded broker and the service on it until SIGINT or SIGTERM; return the exit status."""
    _configure_logging(settings)
    broker = EmbeddedBroker(
        settings.data_dir,
        BrokerOptions(port=settings.broker_port, sync_interval=settings.broker_sync_interval),
    )
    stop = stop_signal()
    try:
        await broker.start()
    except (DataDirError, BrokerBinaryError, BrokerStartError) as error:
        return _failed(str(error))
    try:
        _say(f"broker    {broker.url} (nats-server, data in {settings.data_dir.resolve()})")
        _say(f"access    users and passwords in {broker.directory.credentials}; clients connect as operator")
        return await _serve(
            settings,
            broker.url,
            lambda purpose: _embedded_auth(broker, purpose),
            stop,
            sync_interval=settings.broker_sync_interval,
            broker=broker,
        )
    finally:
        await broker.stop()


async def run_serve(settings: Settings, nats_url: str) -> int:
    """Run the service on a broker that is there until SIGINT or SIGTERM; return the exit status."""
    _configure_logging(settings)
    stop = stop_signal()
    if anonymous(settings, nats_url):
        _LOG.warning("connecting to %s without credentials: there, anyone can act as anyone", nats_url)
    return await _serve(settings, nats_url, lambda purpose: auth_for(settings, purpose), stop)


async def _serve(
    settings: Settings,
    url: str,
    auths: Callable[[str], Auth],
    stop: asyncio.Event,
    *,
    sync_interval: str | None = None,
    broker: EmbeddedBroker | None = None,
) -> int:
    server = PoolServer(settings, url)
    try:
        if not auths("operator").anonymous or auths("writer").anonymous:
            asker = await connect(url, name=f"custody-{settings.pool}-check", auth=auths("operator"))
            try:
                await refuse_if_served(asker, settings.pool)
            finally:
                await asker.close()
        else:
            _LOG.warning("operator_password is not set, so nobody is asked whether pool %s is served", settings.pool)
        await server.start(auths, sync_interval=sync_interval)
    except (BrokerError, LogUnavailableError, PoolServedError) as error:
        return _failed(str(error))
    status = EXIT_OK
    try:
        _greet(settings, server, url)
        status = await _until_stopped(server, stop, broker)
    finally:
        settled = await server.stop()
    if settled:
        _say("stopped   everything taken was answered; nothing is half-done")
    else:
        _say("stopped   the broker did not confirm the last append; the next start finds out what became of it")
    return status


async def _until_stopped(server: PoolServer, stop: asyncio.Event, broker: EmbeddedBroker | None) -> int:
    stopped = asyncio.create_task(stop.wait())
    served = asyncio.create_task(server.served())
    waiting: set[asyncio.Task[Any]] = {stopped, served}
    if broker is not None:
        waiting.add(asyncio.create_task(broker.wait()))
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if stopped in done:
            return EXIT_OK
        if served in done:
            served.result()
            return EXIT_OK
        return _failed("the embedded broker ended by itself; its log is in the data directory")
    except SupersededError as error:
        return _failed(f"stepping down: {error}")
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _embedded_auth(broker: EmbeddedBroker, purpose: str) -> Auth:
    access = broker.credentials(purpose)
    return Auth(user=access["user"], password=access["password"])


def _greet(settings: Settings, server: PoolServer, url: str) -> None:
    facts = server.facts
    state = server.pool.memory.state
    if facts is not None:
        _say(f"log       {facts.durability()}")
    _say(
        f"pool      {settings.pool}: position {state.position}, {len(state.tasks)} live tasks, "
        f"{len(state.agents)} agents, leader {server.leader}"
    )
    unreadable = server.pool.memory.unreadable_count
    if unreadable:
        _say(f"warning   {unreadable} events could not be read and are skipped; `custody verify` names them")
    where = without_password(url)
    _say(f"ready     commands on custody.{settings.pool}.>, for example: custody query health --nats {where}")


def _configure_logging(settings: Settings) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _failed(line: str) -> int:
    sys.stderr.write(f"custody: {line}\n")
    return EXIT_FAILED
