"""A pool's event log on a JetStream stream: appends with optimistic concurrency, exact reads."""

from __future__ import annotations

import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING

from nats.nuid import NUID

from handlers.ports import MAX_BATCH_MESSAGES, AppendRejectedError, evt_prefix
from infra.nats import wire_format
from infra.nats.api import REQUEST_TIMEOUT_S, JetStreamApi
from infra.nats.appends import append, append_frames
from infra.nats.chains import ChainLinks, append_chain
from infra.nats.exchange import Exchange
from infra.nats.filtered_reader import last_matching
from infra.nats.reader import StreamReader
from infra.nats.staging import Staging
from infra.nats.stream import stream_name
from infra.nats.subjects_reader import common_parent, read_subjects

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from handlers.ports import NewMessage, StoredMessage
    from infra.nats.connection import NatsConnection

APPEND_TIMEOUT_S = 5.0
MIN_STAGED_MESSAGES = 64
"""The least number of messages that are staged at once: fewer are not worth a write of their own."""


class NatsEventLog:
    """The `EventLog` port on the stream of one pool; made by `open`."""

    def __init__(
        self,
        exchange: Exchange,
        pool: str,
        *,
        append_timeout_s: float,
        api: JetStreamApi,
        as_stored: bool = False,
        takes_chains: bool = False,
    ) -> None:
        self._exchange = exchange
        self._pool = pool
        self._stream = stream_name(pool)
        self._prefix = evt_prefix(pool)
        self._append_timeout_s = append_timeout_s
        self._as_stored = as_stored
        self.takes_chains = takes_chains
        self._links = ChainLinks()
        self._api = api
        self._batch_ids = NUID()
        self._staging = Staging(self._new_batch_id)
        self._stop_listening = exchange.connection.disconnected.add(self._staging.reset)

    @classmethod
    async def open(
        cls,
        connection: NatsConnection,
        pool: str,
        *,
        append_timeout_s: float = APPEND_TIMEOUT_S,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        as_stored: bool = False,
        takes_chains: bool = False,
    ) -> NatsEventLog:
        """The log of a pool whose stream exists (`ensure_stream`); `close` it before the connection.

        Args:
            connection: whose user may append to it, or may only read.
            pool: whose log it is.
            append_timeout_s: after it the outcome of an append is unknown.
            request_timeout_s: after it a read is given up.
            as_stored: what is appended comes from a broker, and may have any subject and header that a broker takes.
            takes_chains: the stream has one copy.

        Raises:
            LogUnavailableError: there is no connection.
        """
        api = JetStreamApi(connection, timeout_s=request_timeout_s)
        exchange = await Exchange.open(connection)
        return cls(
            exchange,
            pool,
            append_timeout_s=append_timeout_s,
            api=api,
            as_stored=as_stored,
            takes_chains=takes_chains,
        )

    async def close(self) -> None:
        """Stop listening for answers; the outcome of appends in flight is unknown. Closing twice is harmless."""
        self._stop_listening()
        await self._exchange.close()

    async def append(self, messages: Sequence[NewMessage], *, expected_position: int) -> int:
        """Append all or nothing right after `expected_position`; see the port for what it raises."""
        count = len(messages)
        if not 1 <= count <= MAX_BATCH_MESSAGES:
            raise ValueError(f"an append takes 1 to {MAX_BATCH_MESSAGES} messages, not {count}")
        staged = self._staging.take(messages, expected_position)
        if staged is not None and staged.sent:
            batch_id, sent = staged.batch_id, staged.sent
        else:
            batch_id, sent = self._new_batch_id() if count > 1 else "", 0
        self._check_subjects(messages)
        return await append(
            self._exchange,
            self._stream,
            messages,
            _conditions(count, expected_position),
            batch_id=batch_id,
            timeout_s=self._append_timeout_s,
            sent=sent,
            expected=expected_position + count,
            as_stored=self._as_stored,
        )

    async def append_chain(
        self,
        messages: Sequence[NewMessage],
        *,
        expected_position: int,
        behind: bool,
        on_stored: Callable[[int], None],
    ) -> int:
        """Append each message on its own, all sent at once: the log takes a prefix, or all. See the port."""
        self._check_subjects(messages)
        return await append_chain(
            self._exchange,
            self._stream,
            messages,
            self._links,
            expected_position=expected_position,
            behind=behind,
            timeout_s=self._append_timeout_s,
            on_stored=on_stored,
        )

    def stage(self, messages: Sequence[NewMessage], *, expected_position: int) -> None:
        """Send all messages but the last ahead of the append, as an open batch; the last one commits it.

        Most of a batch's cost to the broker comes before its commit, so half of an append is done when its turn comes.
        The broker drops a batch that is not committed after ten seconds. Errors show at the commit.
        """
        batch = self._staging.batch_for(messages, expected_position)
        ahead = min(len(messages), MAX_BATCH_MESSAGES) - 1
        if batch is None or ahead - batch.sent < MIN_STAGED_MESSAGES:
            return
        connection, sent = self._exchange.connection, batch.sent
        with contextlib.suppress(AppendRejectedError):  # the append will raise it
            self._check_subjects(messages[sent:ahead])
            frames = append_frames(
                messages[sent:ahead],
                _conditions(ahead, expected_position)[sent:],
                batch_id=batch.batch_id,
                limit_bytes=connection.client.max_payload,
                sent=sent,
            )
            if connection.send_soon(frames):
                batch.sent = ahead

    def _new_batch_id(self) -> str:
        return self._batch_ids.next().decode()

    def _check_subjects(self, messages: Sequence[NewMessage]) -> None:
        for message in messages:
            if not message.subject.startswith(self._prefix):
                raise AppendRejectedError(f"not a subject of pool {self._pool}: {message.subject!r}")

    async def last_position(self) -> int:
        """The last position as the stream's leader knows it; 0 when empty. Raises LogUnavailableError."""
        return int((await self._api.stream_state(self._stream))["last_seq"])

    async def first_position(self) -> int:
        """The log's first position, or the next one if the log is empty. Raises LogUnavailableError."""
        return max(1, int((await self._api.stream_state(self._stream))["first_seq"]))

    async def get(self, position: int) -> StoredMessage | None:
        """The message at a position, from the stream's leader; None if there is none. Raises LogUnavailableError."""
        return await self._api.stored_in_log(self._stream, {"seq": position}) if position > 0 else None

    async def last_by_subject(self, subject: str) -> StoredMessage | None:
        """The newest message whose subject matches, from the stream's leader, or None. Raises LogUnavailableError."""
        return await self._api.stored_in_log(self._stream, {"last_by_subj": subject})

    async def history(self, subject_filter: str) -> list[StoredMessage]:
        """All messages whose subject matches the filter, in order. Raises LogUnavailableError.

        Complete up to the newest match that the stream's leader knew when asked, whichever replica delivers.
        """
        newest = await self._api.stored_in_log(self._stream, {"last_by_subj": subject_filter})
        if newest is None:
            return []
        reader = StreamReader(self._api, self._stream, subject_filter=subject_filter)
        return [message async for chunk in reader.until(newest.position) for message in chunk]

    async def matching(
        self, subject_filters: Sequence[str], *, after: int, until: int
    ) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message with `after` < position <= `until` whose subject matches one of the filters, in chunks.

        Complete up to the newest match that the stream's leader knew when asked, whichever replica delivers: a message
        that is known to match ends the read. Raises LogUnavailableError.
        """
        if len(subject_filters) > 1 and common_parent(subject_filters) is not None:
            subjects = read_subjects(self._api, self._stream, subject_filters, after=after, until=until)
            async with aclosing(subjects) as found:
                async for chunk in found:
                    yield chunk
            return
        end = await self._last_matching(subject_filters, until)
        if end <= after:
            return
        reader = StreamReader(self._api, self._stream, after=after, subject_filter=subject_filters)
        async with aclosing(reader.until(end)) as chunks:
            async for chunk in chunks:
                if chunk:
                    yield chunk

    async def _last_matching(self, subject_filters: Sequence[str], until: int) -> int:
        """Return `until` if a match is there or behind it, else the position of the newest match; 0: there is none."""
        at_end = await self.get(until)
        if at_end is not None and any(_certainly_matches(each, at_end.subject) for each in subject_filters):
            return until
        newest = 0
        for subject_filter in subject_filters:
            newest = max(newest, await last_matching(self._api, self._stream, subject_filter))
            if newest >= until:
                return until
        return newest

    def read(self, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message with `after` < position <= `until`, in order and without gaps, in chunks."""
        return StreamReader(self._api, self._stream, after=after).until(until)

    async def read_across_gaps(self) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message that is stored now, in order and in chunks, without regard to gaps in the positions.

        For checks that look for missing messages. Raises LogUnavailableError.
        """
        newest = await self._api.stored_in_log(self._stream, {"last_by_subj": f"{self._prefix}>"})
        if newest is None:
            return
        async with aclosing(StreamReader(self._api, self._stream, gaps=True).until(newest.position)) as chunks:
            async for chunk in chunks:
                yield chunk

    def follow(self, *, after: int) -> AsyncGenerator[StoredMessage, None]:
        """Every message after `after`, future ones included, for ever; survives restarts of the broker.

        Raises:
            LogTruncatedError: the log ends before a position that was already read, or holds another message there.
            LogMissingError: the stream was deleted.
            LogUnavailableError: the connection was closed for good.
        """
        return StreamReader(self._api, self._stream, after=after).follow()

    def follow_chunks(self, *, after: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """The messages of `follow`, in chunks as they arrive. Raises as `follow` does."""
        return StreamReader(self._api, self._stream, after=after).follow_chunks()


def _certainly_matches(subject_filter: str, subject: str) -> bool:
    """Return whether a subject matches an exact filter, or one whose only wildcard is a final `>`; else False."""
    if subject_filter.endswith(".>") and "*" not in subject_filter:
        return subject.startswith(subject_filter.removesuffix(">"))
    return subject_filter == subject


def _conditions(count: int, expected_position: int) -> list[str]:
    """Return the header lines of each message's condition: only the first message of an append has one."""
    return [wire_format.header_lines({wire_format.EXPECTED_LAST_SEQUENCE: str(expected_position)}), *[""] * (count - 1)]
