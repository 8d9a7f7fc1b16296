"""`custody up` and `custody serve`: a service from its start to its exit status."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any

from handlers.ports import LogUnavailableError
from handlers.writer.writer import SupersededError
from infra.broker.binary import BrokerBinaryError
from infra.broker.data_dir import DataDirError
from infra.broker.embedded import BrokerOptions, BrokerStartError, EmbeddedBroker
from infra.host.stop_signals import stop_signal
from infra.nats.auth import Auth
from infra.nats.broker_errors import BrokerError
from infra.nats.connection import connect, without_password
from infra.service.serving import PoolServedError, PoolServer, refuse_if_served
from infra.settings.contradictions import contradictions
from infra.settings.credentials import anonymous, auth_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.settings.settings import Settings

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
    """Run the service at a broker that runs already until SIGINT or SIGTERM; return the exit status."""
    _configure_logging(settings)
    stop = stop_signal()
    if anonymous(settings, nats_url):
        _LOG.warning("connecting to %s without credentials: any client can act as any agent or operator there", nats_url)
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
    for line in contradictions(settings):
        _LOG.warning("settings: %s", line)
    server = PoolServer(settings, url)
    ending = asyncio.create_task(_ended(stop, broker))
    try:
        try:
            if not await _started(server, auths, sync_interval, ending):
                return _status(ending.result())
        except (BrokerError, LogUnavailableError, PoolServedError) as error:
            return _failed(str(error))
        status = EXIT_OK
        try:
            _greet(settings, server, url)
            status = await _until_stopped(server, ending)
        finally:
            settled = await server.stop()
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
    if settled:
        _say("stopped   everything taken was answered; nothing is half-done")
    else:
        _say("stopped   the broker did not confirm the last append; the next start finds out what became of it")
    return status


async def _start(server: PoolServer, auths: Callable[[str], Auth], sync_interval: str | None) -> None:
    pool = server.settings.pool
    if not auths("operator").anonymous or auths("writer").anonymous:
        asker = await connect(server.url, name=f"custody-{pool}-check", auth=auths("operator"))
        try:
            await refuse_if_served(asker, pool)
        finally:
            await asker.close()
    else:
        _LOG.warning("operator_password is not set, so it is not checked whether another service serves pool %s", pool)
    await server.start(auths, sync_interval=sync_interval)


async def _started(
    server: PoolServer, auths: Callable[[str], Auth], sync_interval: str | None, ending: asyncio.Task[str | None]
) -> bool:
    """Start the service; return False, with nothing of it left, if it was to end before it served."""
    starting = asyncio.create_task(_start(server, auths, sync_interval))
    try:
        await _first(starting, ending)
        if not starting.done():
            return False
        starting.result()
        return True
    finally:
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            # A cancellation that comes together with the end of the start leaves a service that runs.
            await server.stop()


async def _until_stopped(server: PoolServer, ending: asyncio.Task[str | None]) -> int:
    served = asyncio.create_task(server.served())
    try:
        await _first(served, ending)
        if ending.done():
            return _status(ending.result())
        served.result()
    except SupersededError as error:
        return _failed(f"stepping down: {error}")
    except BrokerError as error:
        return _failed(str(error))
    finally:
        served.cancel()
        await asyncio.gather(served, return_exceptions=True)
    return EXIT_OK


async def _ended(stop: asyncio.Event, broker: EmbeddedBroker | None) -> str | None:
    """Wait for a signal, or until the embedded broker cannot go on; return the reason then, None for a signal."""
    stopped = asyncio.create_task(stop.wait())
    if broker is None:
        await stopped
        return None
    died, full = asyncio.create_task(broker.wait()), asyncio.create_task(broker.write_error())
    try:
        await _first(stopped, died, full)
        if stopped.done():
            return None
        if died.done():
            return "the embedded broker ended by itself; its log is in the data directory"
        where = broker.directory.root
        return f"the embedded broker cannot write to {where}: {full.result()}; mend that, then start this again"
    finally:
        for task in (stopped, died, full):
            task.cancel()
        await asyncio.gather(stopped, died, full, return_exceptions=True)


async def _first(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _status(why: str | None) -> int:
    """Return the exit status of a service that was stopped, or that could not go on for the reason `why`."""
    return EXIT_OK if why is None else _failed(why)


def _embedded_auth(broker: EmbeddedBroker, purpose: str) -> Auth:
    access = broker.credentials(purpose)
    return Auth(user=access["user"], password=access["password"])


def _greet(settings: Settings, server: PoolServer, url: str) -> None:
    facts = server.facts
    state = server.pool.memory.state
    if facts is not None:
        _say(f"log       {facts.durability()}")
    _say(
        f"pool      {settings.pool}: position {state.position}, live tasks {len(state.tasks)}, "
        f"agents {len(state.agents)}, leader {server.leader}"
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
