"""`custody up` and `custody serve`: a service from its start to its exit status."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from handlers.ports import LogLostError, LogUnavailableError
from handlers.writer.writer import SupersededError
from infra.broker.binary import BrokerBinaryError
from infra.broker.data_dir import DataDirError
from infra.broker.embedded import BrokerOptions, BrokerStartError, EmbeddedBroker
from infra.host.log_output import configure_logging, logs_json
from infra.host.shell import EXIT_FAILED, EXIT_OK, complain, say
from infra.host.stop_signals import stop_signal
from infra.nats.auth import Auth
from infra.nats.broker_errors import BrokerError, BrokerUnavailableError, CredentialsRefusedError
from infra.nats.connection import connect, without_password
from infra.service.dashboard_process import DashboardProcess
from infra.service.log_consent import NOTHING_ACCEPTED, LogConsent
from infra.service.serving import PoolServedError, PoolServer, refuse_if_served
from infra.settings.contradictions import contradictions
from infra.settings.credentials import anonymous, auth_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.settings.settings import Settings

_LOG = logging.getLogger(__name__)
FIRST_PAUSE_S = 1.0
"""Pause after the first start that found no usable broker; each further one is twice as long."""
LONGEST_PAUSE_S = 10.0


async def run_up(settings: Settings, *, consent: LogConsent = NOTHING_ACCEPTED) -> int:
    """Run an embedded broker and the service on it until SIGINT or SIGTERM; return the exit status."""
    _configure_logging(settings)
    broker = EmbeddedBroker(
        settings.data_dir,
        BrokerOptions(
            port=settings.broker_port,
            sync_interval=settings.broker_sync_interval,
            strict_inboxes=settings.broker_strict_inboxes,
        ),
    )
    stop = stop_signal()
    try:
        await broker.start()
    except (DataDirError, BrokerBinaryError, BrokerStartError) as error:
        return _failed(str(error))
    try:
        say(f"broker    {broker.url} (nats-server, data in {settings.data_dir.resolve()})")
        say(f"access    users and passwords in {broker.directory.credentials}; clients connect as operator")
        return await _serve(
            settings,
            broker.url,
            broker.auth,
            stop,
            sync_interval=settings.broker_sync_interval,
            broker=broker,
            consent=consent,
        )
    finally:
        await broker.stop()


async def run_serve(settings: Settings, nats_url: str, *, consent: LogConsent = NOTHING_ACCEPTED) -> int:
    """Run the service at a broker that runs already until SIGINT or SIGTERM; return the exit status."""
    _configure_logging(settings)
    stop = stop_signal()
    if anonymous(settings, nats_url):
        _LOG.warning(
            "connecting to %s without credentials: any client can act as any agent or operator there", nats_url
        )
    return await _serve(settings, nats_url, lambda purpose: auth_for(settings, purpose), stop, consent=consent)


async def _serve(
    settings: Settings,
    url: str,
    auths: Callable[[str], Auth],
    stop: asyncio.Event,
    *,
    sync_interval: str | None = None,
    broker: EmbeddedBroker | None = None,
    consent: LogConsent = NOTHING_ACCEPTED,
) -> int:
    for line in contradictions(settings):
        _LOG.warning("settings: %s", line)
    # A directory that was not named may be that of another broker.
    named = broker is not None or settings.data_dir != type(settings).model_fields["data_dir"].default
    data_dir = settings.data_dir if named else None
    new_server = partial(PoolServer, settings, url, consent=consent, data_dir=data_dir)
    ending = asyncio.create_task(_ended(stop, broker))
    try:
        server: PoolServer | None = None
        try:
            server = await _started_when_possible(new_server, auths, sync_interval, ending)
        except (BrokerError, PoolServedError) as error:
            return _failed(str(error))
        except (SupersededError, LogLostError) as error:
            return _failed(f"stepping down: {error}")
        if server is None:
            return _status(ending.result())
        status = EXIT_OK
        dashboard = _new_dashboard(settings, broker)
        try:
            _greet(settings, server, url, dashboard)
            if dashboard is not None:
                await dashboard.start()
            status = await _until_stopped(server, ending)
        finally:
            if dashboard is not None:
                await dashboard.stop()
            settled = await server.stop()
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
    if settled:
        say("stopped   everything taken was answered; nothing is half-done")
    else:
        say("stopped   the broker did not confirm the last append; the next start finds out what became of it")
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


async def _started_when_possible(
    new_server: Callable[[], PoolServer],
    auths: Callable[[str], Auth],
    sync_interval: str | None,
    ending: asyncio.Task[str | None],
) -> PoolServer | None:
    """Start the service as soon as the broker can be used; return None if it was to end before it served.

    Raises what no waiting mends: BrokerError, PoolServedError, SupersededError, LogLostError.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        server = new_server()
        try:
            return server if await _started(server, auths, sync_interval, ending) else None
        except (BrokerUnavailableError, LogUnavailableError) as error:
            if isinstance(error, CredentialsRefusedError):
                raise
            _LOG.warning("cannot serve yet: %s; trying again in %g s", error, pause_s)
        await asyncio.wait((ending,), timeout=pause_s)
        if ending.done():
            return None
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


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
    except (SupersededError, LogLostError) as error:
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
    try:
        while True:
            died, full = asyncio.create_task(broker.wait()), asyncio.create_task(broker.write_error())
            try:
                await _first(stopped, died, full)
            finally:
                died.cancel()
                full.cancel()
                await asyncio.gather(died, full, return_exceptions=True)
            if stopped.done():
                return None
            if full.cancelled():
                return "the embedded broker ended by itself; its log is in the data directory"
            if not await _again_with_room(broker, full.result(), stopped):
                return None
    except (DataDirError, BrokerBinaryError, BrokerStartError) as error:
        return str(error)
    finally:
        stopped.cancel()
        await asyncio.gather(stopped, return_exceptions=True)


async def _again_with_room(broker: EmbeddedBroker, why: str, stopped: asyncio.Task[Any]) -> bool:
    """Wait for room on the broker's disk and start it anew; return False if the service was stopped first."""
    where = broker.directory.root
    _LOG.critical("the embedded broker cannot write to %s: %s; make room, and it goes on by itself", where, why)
    restarted = asyncio.create_task(broker.restart_with_room())
    await _first(stopped, restarted)
    if not restarted.done():
        restarted.cancel()
        await asyncio.gather(restarted, return_exceptions=True)
        return False
    restarted.result()
    _LOG.warning("%s can be written to again; the embedded broker was started anew", where)
    return True


async def _first(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _status(why: str | None) -> int:
    """Return the exit status of a service that was stopped, or that could not go on for the reason `why`."""
    return EXIT_OK if why is None else _failed(why)


def _new_dashboard(settings: Settings, broker: EmbeddedBroker | None) -> DashboardProcess | None:
    """Return the dashboard beside an embedded broker; None if there is none, or none is wanted."""
    if broker is None or not settings.dashboard_port:
        return None
    return DashboardProcess(settings, broker.url, broker.auth("operator"))


def _greet(settings: Settings, server: PoolServer, url: str, dashboard: DashboardProcess | None) -> None:
    facts = server.facts
    state = server.pool.memory.state
    if facts is not None:
        say(f"log       {facts.durability()}")
    say(
        f"pool      {settings.pool}: position {state.position}, live tasks {len(state.tasks)}, "
        f"agents {len(state.agents)}, leader {server.leader}"
    )
    unreadable = server.pool.memory.unreadable_count
    if unreadable:
        say(f"warning   {unreadable} events could not be read and are skipped; `custody verify` names them")
    if dashboard is not None:
        say(f"dashboard {dashboard.address}")
    if server.metrics_url is not None:
        say(f"metrics   {server.metrics_url}")
    where = without_password(url)
    say(f"ready     commands on custody.{settings.pool}.>, for example: custody query health --nats {where}")


def _configure_logging(settings: Settings) -> None:
    configure_logging(settings.log_level, as_json=settings.log_format == "json")


def _failed(line: str) -> int:
    if logs_json():
        _LOG.critical("%s", line)
    else:
        complain(line)
    return EXIT_FAILED
