"""A pool's log as a start finds it: opened, and held against what is remembered of it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from domain.commands.service_commands import FillTail
from handlers.log_end import Compared, LogEndStoreError, Standing, compare, remembered
from infra.codec import CloudEventsCodec
from infra.nats.api import JetStreamApi
from infra.nats.broker_errors import BrokerUnavailableError, LogGoneError
from infra.nats.event_log import NatsEventLog
from infra.nats.log_end_bucket import LogEndBucket
from infra.nats.stream import StreamFacts, StreamSettings, ensure_stream
from infra.service.latest_end_file import LatestEndFile
from infra.service.log_end_file import LogEndFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from handlers.log_end import LogEnd, LogEndStore
    from infra.nats.connection import NatsConnection
    from infra.service.log_consent import LogConsent
    from infra.settings.settings import Settings

_LOG = logging.getLogger(__name__)
REMEMBER_TIMEOUT_S = 1.0
REMEMBER_DEADLINE_S = 3.0
"""For so long the broker is asked what is remembered, before the start says why it waits."""
REMEMBER_PAUSE_S = 0.1
MAX_FILLED = 10_000_000
"""Positions that a log is filled up by, at most: four minutes, and 6.5 GB."""
LOSS_CONFIRM_S = 15.0
"""How long a broker of several may believe that it leads a stream, and answer with less than others acknowledged."""
COMPARE_PAUSE_S = 0.25
RESTORE = "restore it with `custody import`"


class OpenedLog(NamedTuple):
    """A log that may be served."""

    log: NatsEventLog
    facts: StreamFacts
    stores: Sequence[LogEndStore]
    """Where its end is remembered."""
    latest: LatestEndFile | None
    """The one of these that takes every acknowledged position."""
    accepted_loss: FillTail | None
    """What it lost, as an operator accepts; None: nothing."""


async def open_log(
    writer: NatsConnection, settings: Settings, consent: LogConsent, data_dir: Path | None, sync_interval: str | None
) -> OpenedLog:
    """Open the log; a new one only if none is remembered, or it is meant. `sync_interval`: the broker's, if known.

    Raises:
        LogGoneError: the log that was served before is not there, lacks its tail, or another one is there.
        BrokerError: the broker cannot be used, with one line why.
        LogUnavailableError: it stopped answering.
    """
    pool = settings.pool
    stores: list[LogEndStore] = [LogEndBucket(JetStreamApi(writer, timeout_s=REMEMBER_TIMEOUT_S), pool)]
    latest: LatestEndFile | None = None
    if data_dir is not None:
        latest = LatestEndFile(data_dir, pool)
        stores += [LogEndFile(data_dir, pool), latest]
    ends = await _remembered_ends(stores, pool)
    chosen = StreamSettings(replicas=settings.stream_replicas, compression=settings.stream_compression)
    create = consent.new_log or not ends
    try:
        facts = await ensure_stream(writer, pool, chosen, sync_interval=sync_interval, create=create)
    except LogGoneError as error:
        furthest = max(ends, key=lambda end: end.position)
        why = f"{error}, and it was served before, up to position {furthest.position}"
        raise LogGoneError(f"{why}: {RESTORE}, or begin with another log by --new-log") from None
    log = await NatsEventLog.open(writer, pool, takes_chains=facts.replicas == 1)
    try:
        found = await _compared(log, pool, ends, LOSS_CONFIRM_S if facts.replicas > 1 else 0.0)
        accepted_loss = await _accepted(found, log, f"the log of pool {pool} at {writer.url}", consent)
    except BaseException:
        await log.close()
        raise
    return OpenedLog(log, facts, stores, latest, accepted_loss)


async def _remembered_ends(stores: Sequence[LogEndStore], pool: str) -> list[LogEnd]:
    """Return what is remembered; raises BrokerUnavailableError when the broker does not say it in time."""
    deadline_s = time.monotonic() + REMEMBER_DEADLINE_S
    while True:
        try:
            return await remembered(stores, pool)
        except LogEndStoreError as error:
            if time.monotonic() > deadline_s:
                raise BrokerUnavailableError(f"what was served before is not known: {error}") from error
        await asyncio.sleep(REMEMBER_PAUSE_S)


async def _compared(log: NatsEventLog, pool: str, ends: Sequence[LogEnd], confirm_s: float) -> Compared:
    """Hold a log against what is remembered; a difference is believed once it has lasted for `confirm_s`.

    Raises LogUnavailableError.
    """
    since_s = time.monotonic()
    while True:
        found = await compare(ends, log, CloudEventsCodec(pool))
        if found.standing is Standing.SAME or time.monotonic() - since_s >= confirm_s:
            return found
        await asyncio.sleep(COMPARE_PAUSE_S)


async def _accepted(found: Compared, log: NatsEventLog, name: str, consent: LogConsent) -> FillTail | None:
    """Return what a log lost, if that is accepted. Raises LogGoneError, LogUnavailableError."""
    standing, end = found
    if end is None or standing is Standing.SAME or (consent.new_log and standing is not Standing.SHORTER):
        return None
    if standing is Standing.OTHER:
        why = f"{name} is another one than was served before, up to position {end.position}"
        raise LogGoneError(f"{why}: {RESTORE}, or begin with another log by --new-log")
    last = await log.last_position()
    lost = (
        f"{name} ends at {last}, and does not have what was acknowledged at position {end.position}: it lost its tail, "
        f"or is {'a new one' if standing is Standing.EMPTY else 'an older copy'}"
    )
    if not consent.accept_loss:
        new = ", or begin with another log by --new-log" if standing is Standing.EMPTY else ""
        raise LogGoneError(f"{lost}; {RESTORE}, or go on without what is lost by --accept-loss{new}")
    if end.may_reach - last > MAX_FILLED:
        raise LogGoneError(f"{lost}; {RESTORE}: to fill it up takes over {MAX_FILLED} events")
    _LOG.critical("%s; this is accepted, and its positions are filled up to %d", lost, end.may_reach)
    return FillTail(end.position, end.may_reach)
