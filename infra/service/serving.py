"""One pool served over NATS: two connections, the log, the pool's service, and the handling of lost connections."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import logging
import os
import socket
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from nats.errors import Error as NatsError

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from domain.limits import MAX_REPLY_BYTES
from handlers.background.log_end_keeper import LogEndKeeper
from handlers.memory.snapshots import Snapshots
from handlers.pool_service import PoolOptions, PoolService
from handlers.telemetry import ProcessFigures, Telemetry
from handlers.writer.writer import WriterLimits
from infra.codec import CloudEventsCodec
from infra.host.clock import SystemClock
from infra.nats.api import JetStreamApi
from infra.nats.broker_errors import BrokerError, BrokerUnavailableError, PayloadLimitError
from infra.nats.connection import connect
from infra.nats.node_choice import NodeChoice
from infra.nats.snapshot_store import NatsSnapshots
from infra.nats.stream import StreamFacts, check_broker
from infra.service.agent_path import AgentPath
from infra.service.fold_build import fold_build
from infra.service.git_probe import GitWorktreeProbe
from infra.service.log_consent import NOTHING_ACCEPTED, LogConsent
from infra.service.opened_log import LOSS_CONFIRM_S, OpenedLog, open_log
from infra.service.transport import NatsTransport
from infra.tracing import command_tracer
from projections.queries.questions import QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handlers.memory.memory import Memory
    from infra.nats.auth import Auth
    from infra.nats.connection import NatsConnection
    from infra.settings.settings import Settings

_LOG = logging.getLogger(__name__)
PING_TIMEOUT_S = 1.0
BATCH_WAIT_S = 0.002
COLLECT_EVERY = (10_000, 5, 1_000)
"""When gc collects: its youngest generation after so many allocations less deallocations, the next one after so many of
those, and all after so many of these.

Nobody is answered meanwhile, so each is to be small: it takes half a microsecond for each object of its generation.
"""


class PoolServedError(Exception):
    """Another service answers for the pool."""


class PoolServer:
    """A pool's service at a broker, from `start` to `stop`."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        *,
        consent: LogConsent = NOTHING_ACCEPTED,
        data_dir: Path | None = None,
    ) -> None:
        """`data_dir`: where the end of the log is remembered, beside the broker; None: only there."""
        self._consent = consent
        self._data_dir = data_dir
        self._keeper: LogEndKeeper | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.settings = settings
        self.url = url
        self.leader = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns() // 1_000_000}"
        self._clock = SystemClock()
        self._stack = AsyncExitStack()
        self._lost_purposes: set[str] = set()
        self._lost_at_s = 0.0
        self._nodes = NodeChoice()
        self._failed: asyncio.Future[BrokerError] = asyncio.get_running_loop().create_future()
        """Why the broker can be used no longer, once it cannot."""
        self._transport: NatsTransport | None = None
        self._pool: PoolService | None = None
        self._figures = ProcessFigures() if settings.metrics_port else None
        self.metrics_url: str | None = None
        """Where the metrics are; None: they are not shown."""
        self.facts: StreamFacts | None = None

    @property
    def pool(self) -> PoolService:
        """The pool's service; RuntimeError before the start."""
        if self._pool is None:
            msg = "the pool is not served"
            raise RuntimeError(msg)
        return self._pool

    async def start(self, auths: Callable[[str], Auth], *, sync_interval: str | None = None) -> Self:
        """Connect, create or check the stream, rebuild the pool and answer its requests.

        `auths`: credentials by purpose (`writer`, `responder`). `sync_interval`: the broker's, if known.

        Raises:
            PoolServedError: another service answers for the pool.
            LogGoneError: the log that was served before is not there, lacks its tail, or another one is there.
            LogLostError: so it was found while the pool was rebuilt.
            BrokerError: the broker cannot be used, with one line why.
            LogUnavailableError: it stopped answering.
        """
        settings = self.settings
        try:
            writer = await self._connected("writer", auths)
            responder = await self._connected("responder", auths)
            await check_broker(writer)
            opened = await open_log(writer, settings, self._consent, self._data_dir, sync_interval)
            self.facts, log = opened.facts, opened.log
            self._stack.push_async_callback(log.close)
            if opened.latest is not None:
                self._stack.callback(opened.latest.close)
            self._transport = NatsTransport(responder, settings.pool)
            self._pool = PoolService(
                settings.pool,
                log,
                CloudEventsCodec(settings.pool),
                self._clock,
                settings.rules(),
                self._options(JetStreamApi(writer), opened),
                self._transport.respond,
                GitWorktreeProbe.from_settings(settings),
            )
            if self._lost_purposes:
                # Lost while there was no pool to tell.
                self._pool.disconnected()
            _build_request_models()
            _tune_gc()
            await self._pool.open()
            gc.freeze()  # the rebuilt state is long-lived, too
            self._keeper = self._new_keeper(opened, self._pool.memory)
            await self._keeper.look()
            self._keeping = asyncio.create_task(self._keeper.run(), name="log end")
            await self._transport.listen(self._pool.commands.handle)
            path = AgentPath(settings.pool, writer, responder, self._nodes, self, log, self._unanswered_s)
            self._stack.push_async_callback(path.stop)
            await path.start()
            if self._figures is not None:
                await self._show_metrics(self._pool, self._figures)
        except BaseException:
            await self.stop()
            raise
        return self

    async def served(self) -> None:
        """Return when the pool has stopped.

        Raises:
            SupersededError: another service leads the pool.
            LogLostError: the log lost its tail, or another one took its place.
            BrokerUnavailableError: the broker closed a connection for good, which is not opened again.
            PayloadLimitError: the broker no longer takes messages as large as replies can be.
        """
        serving = asyncio.ensure_future(self.pool.served())
        keeping = () if self._keeping is None else (self._keeping,)
        try:
            await asyncio.wait((serving, self._failed, *keeping), return_when=asyncio.FIRST_COMPLETED)
            for task in keeping:
                if task.done():
                    task.result()
            if not serving.done():
                raise self._failed.result()
            serving.result()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def stop(self) -> bool:
        """Take no more requests, answer those taken, and disconnect; return whether the outcome of all is known."""
        try:
            return await self._settled()
        finally:
            await self._stack.aclose()

    async def _settled(self) -> bool:
        settled = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._transport is not None:
            await self._transport.stop_listening()
        keeper, self._keeper = self._keeper, None
        if self._pool is not None:
            settled = await self._pool.stop()
            if keeper is not None and settled and not self._pool.superseded:
                # Of a superseded service another one remembers the end, which is further.
                await keeper.remember()
        if self._transport is not None:
            await self._transport.flushed()
        return settled

    def _new_keeper(self, opened: OpenedLog, memory: Memory) -> LogEndKeeper:
        pool = self.settings.pool
        return LogEndKeeper(
            pool,
            opened.log,
            CloudEventsCodec(pool),
            self._clock,
            opened.stores,
            lambda: (memory.state.committed_position, memory.tail_hash),
            self.pool.writer.check_log,
        )

    async def _show_metrics(self, pool: PoolService, figures: ProcessFigures) -> None:
        from infra.metrics.pool_metrics import metrics_server  # noqa: PLC0415 - loaded only where it is wanted

        server = metrics_server(pool, figures, self.settings.metrics_host, self.settings.metrics_port)
        self._stack.push_async_callback(server.stop)
        if await server.start():
            self.metrics_url = server.url

    async def _connected(self, purpose: str, auths: Callable[[str], Auth]) -> NatsConnection:
        name = f"custody-{self.settings.pool}-{purpose}"
        connection = await connect(self.url, name=name, auth=auths(purpose), nodes=self._nodes)
        self._stack.push_async_callback(connection.close)
        too_small = payload_limit_problem(connection)
        if too_small is not None:
            raise PayloadLimitError(too_small)
        connection.disconnected.add(lambda: self.lost(purpose, time.monotonic()))
        connection.reconnected.add(lambda: self._on_reconnected(purpose, connection))
        connection.closed.add(lambda: self._on_closed(purpose, connection))
        return connection

    def lost(self, purpose: str, since_s: float) -> None:
        """Judge no silence until `back` was called for each purpose: since a moment, no agent could be heard."""
        self._lost_at_s = min(self._lost_at_s, since_s) if self._lost_purposes else since_s
        self._lost_purposes.add(purpose)
        if self._pool is not None:
            self._pool.disconnected()

    def back(self, purpose: str) -> None:
        """Note that what had been lost is back."""
        self._lost_purposes.discard(purpose)
        if not self._lost_purposes and self._pool is not None:
            self._pool.reconnected(time.monotonic() - self._lost_at_s)

    def _on_reconnected(self, purpose: str, connection: NatsConnection) -> None:
        too_small = payload_limit_problem(connection)
        if too_small is None:
            self.back(purpose)
        elif not self._failed.done():
            self._failed.set_result(PayloadLimitError(too_small))

    def another_serves(self) -> None:
        """Find out at once whether another service leads the pool: an idle one would notice at its next append."""
        self.pool.writer.check_log()

    def _unanswered_s(self) -> float:
        return self.pool.access.unanswered_s

    def _on_closed(self, purpose: str, connection: NatsConnection) -> None:
        if not self._failed.done():
            why = f"the broker at {connection.url} closed the connection `{purpose}` for good: {connection.last_error}"
            self._failed.set_result(BrokerUnavailableError(why))

    def _options(self, api: JetStreamApi, opened: OpenedLog) -> PoolOptions:
        settings, facts = self.settings, opened.facts
        store = NatsSnapshots(api, settings.pool, fold_build())
        return PoolOptions(
            leader=self.leader,
            software=f"custody {importlib.metadata.version('custody')}",
            sweeper_interval_s=settings.sweeper_interval_s,
            outcomes=settings.outcomes_remembered,
            limits=WriterLimits(
                queue_commands=settings.queue_length,
                queue_bytes=settings.queue_bytes,
                reply_timeout_s=settings.reply_timeout_s,
                batch_wait_s=BATCH_WAIT_S,
                loss_confirm_s=LOSS_CONFIRM_S if facts.replicas > 1 else 0.0,
            ),
            guarantees={
                "replicas": facts.replicas,
                "storage": facts.storage,
                "compression": facts.compression,
                "sync_interval": facts.sync_interval,
                "broker_version": facts.server_version,
                "durability": facts.durability(),
            },
            on_commit=None if opened.latest is None else opened.latest.note,
            accepted_loss=opened.accepted_loss,
            snapshots=Snapshots(store, fold_build(), settings.snapshot_every) if settings.snapshot_every else None,
            telemetry=Telemetry(self._figures, command_tracer(settings.pool)),
        )


def payload_limit_problem(connection: NatsConnection) -> str | None:
    """Return what is to be set at a broker whose messages may not be as large as replies can be; None if they may."""
    limit = connection.client.max_payload
    if limit >= MAX_REPLY_BYTES:
        return None
    return (
        f"the broker at {connection.url} takes messages of at most {limit} bytes, and a reply, to a claim for instance,"
        f" can have {MAX_REPLY_BYTES}: set `max_payload: {MAX_REPLY_BYTES}` or more in its configuration"
    )


def _build_request_models() -> None:
    """Build the models that check requests: their build is deferred, and a verb's first caller would wait for it."""
    for model in (*AGENT_COMMANDS.values(), *OPS_COMMANDS.values(), *QUERIES.values()):
        model.model_rebuild()


def _tune_gc() -> None:
    """Keep gc from scanning long-lived objects: move the program's to the permanent generation, and collect less often.

    Records are immutable and part of no reference cycle, so reference counting frees them. Collections as frequent as
    Python's own would only cost time (measured: an eighth of a command).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


async def refuse_if_served(connection: NatsConnection, pool: str) -> None:
    """Raise PoolServedError if another service answers for the pool. The connection must have the right to ask."""
    try:
        reply = await connection.client.request(f"custody.{pool}.query.health", b"{}", timeout=PING_TIMEOUT_S)
    except (TimeoutError, NatsError):
        return
    leader = reply.data.decode(errors="replace").partition('"leader":"')[2].partition('"')[0]
    msg = f"pool {pool} is already being served, by {leader or 'another service'}"
    raise PoolServedError(msg)
