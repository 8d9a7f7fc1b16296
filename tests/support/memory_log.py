"""An event log in memory, with the broker's semantics, and with faults that a test scripts.

Nothing is random: a call yields to the loop once, then takes effect at once, unless appends take time, on the test's
clock. Faults are those that the test has asked for with `fail_next`, `fail_reads` and the like.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.timestamps import seconds_between
from handlers.ports import (
    MAX_BATCH_MESSAGES,
    AppendConflictError,
    AppendRefusedError,
    AppendRejectedError,
    LogTruncatedError,
    LogUnavailableError,
    NewMessage,
    OutcomeUnknownError,
    Steady,
    StoredMessage,
    steadily_after,
)
from tests.support.log_faults import (
    AppendTimes,
    Conflict,
    DroppedLater,
    FalselyRefused,
    Fault,
    LoseAck,
    LoseRequest,
    Midway,
    Reject,
    StoredLater,
    Unavailable,
    WholeFault,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.virtual_clock import VirtualClock

MAX_MESSAGE_BYTES = 1_048_576
READ_CHUNK_MESSAGES = 2_000
_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_HEADER_NAME = re.compile(r"(?!Nats-)[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(slots=True, eq=False)
class _Append:
    """An append as it was sent: a batch, or a chain."""

    messages: Sequence[NewMessage]
    expected_position: int
    chained: bool = False
    behind: _Append | None = None
    """The chain that it names as its predecessor."""

    def split(self, count: int) -> _Append:
        """Split the first messages of a chain off, and return them; the others follow them."""
        first = _Append(self.messages[:count], self.expected_position, self.chained, self.behind)
        self.messages, self.expected_position, self.behind = (
            self.messages[count:],
            self.expected_position + count,
            first,
        )
        return first


@dataclass(slots=True)
class _Late:
    """An append that is still on its way, or in a leader's hands."""

    append: _Append
    calls_left: int
    counted: bool
    dropped: bool


class MemoryEventLog:
    """The `EventLog` port on a list."""

    def __init__(
        self,
        pool: str,
        messages: Sequence[NewMessage] = (),
        *,
        takes_chains: bool = False,
        clock: VirtualClock | None = None,
    ) -> None:
        """`clock`: on which appends take time, if `times` says that they do."""
        self.takes_chains = takes_chains
        self.times: AppendTimes | None = None
        """How long appends take from now on; None: no time."""
        self._clock = clock
        self._busy_until: Steady | None = None
        self._pool = pool
        self._sent: _Append | None = None
        """The chain that was sent last."""
        self._tail: _Append | None = None
        """The chain whose last message is the log's last one."""
        self._prefix = f"custody.{pool}.evt."
        self._stored: list[StoredMessage] = []
        self._faults: deque[Fault] = deque()
        self._late: list[_Late] = []
        self._failing_reads = 0
        self._gate = asyncio.Event()
        self._gate.set()
        self._change = asyncio.Event()
        self.on_message: Callable[[NewMessage], None] = lambda _message: None
        """Called with each message of an append; may raise AppendRejectedError."""
        self.append_sizes: list[int] = []
        """How many messages each successful append had, in order; each message of a chain is one of its own."""
        self.chain_sizes: list[int] = []
        """How many messages each chain had that was stored whole and acknowledged, in order."""
        self.arrived = 0
        """How many appends have been asked for."""
        self.reads = 0
        """How many reads have been asked for."""
        self.messages_matched = 0
        """How many messages reads by subject have handed over."""
        self.messages_read = 0
        """How many messages reads of a range of positions have handed over."""
        self._store(messages)

    @property
    def messages(self) -> tuple[StoredMessage, ...]:
        """All that is stored."""
        return tuple(self._stored)

    def fail_next(self, *faults: Fault) -> None:
        """Let the next appends meet these faults, one each; later ones succeed."""
        self._faults.extend(faults)

    def recover(self) -> None:
        """Let all later appends and reads succeed, and those that are held go on."""
        self._faults.clear()
        self._failing_reads = 0
        self.release()

    def accept_everything(self) -> None:
        """Reject no later append for its content; other faults stay."""
        self._faults = deque(fault for fault in self._faults if not isinstance(fault, Reject))

    def fail_reads(self, count: int) -> None:
        """Let the next `count` reads raise LogUnavailableError."""
        self._failing_reads = count

    def append_foreign(self, *messages: NewMessage) -> None:
        """Another replica's append, without conditions."""
        self._store(messages)

    def truncate_to(self, position: int) -> None:
        """The broker came back without what was behind `position`."""
        self._tail = None
        del self._stored[position:]
        self._notify()

    def replace(self, messages: Sequence[NewMessage]) -> None:
        """The broker came back with another log; readers that wait are not woken."""
        self._stored[:] = MemoryEventLog(self._pool, messages).messages

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold every append on its way to the broker until the block ends."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Hold every append on its way to the broker until `release`."""
        self._gate.clear()

    def release(self) -> None:
        """Let the appends that are held go on."""
        self._gate.set()

    @property
    def undecided(self) -> bool:
        """Whether an append without an answer is still on its way."""
        return bool(self._late)

    async def until_arrived(self, count: int) -> None:
        """Return once `count` appends have been asked for in all."""
        while self.arrived < count:
            await self._change.wait()

    async def append(self, messages: Sequence[NewMessage], *, expected_position: int) -> int:
        if not 1 <= len(messages) <= MAX_BATCH_MESSAGES:
            raise ValueError(f"an append takes 1 to {MAX_BATCH_MESSAGES} messages, not {len(messages)}")
        for message in messages:
            self._check(message)
        self._sent = None
        append = _Append(messages, expected_position)
        await self._arrive()
        if self.times is not None:
            await self._until(self._stored_at(self.times.batch_s if len(messages) > 1 else self.times.single_s))
        if self._faults:
            fault = self._faults.popleft()
            self._suffer(fault.fault if isinstance(fault, Midway) else fault, append)
        self._append(append)
        return len(self._stored)

    async def append_chain(
        self,
        messages: Sequence[NewMessage],
        *,
        expected_position: int,
        behind: bool,
        on_stored: Callable[[int], None],
    ) -> int:
        for message in messages:
            self._check(message)
        before, stored = self._sent, 0
        if behind and (before is None or before.expected_position + len(before.messages) != expected_position):
            raise AppendConflictError(f"no chain was sent up to position {expected_position}")
        append = self._sent = _Append(messages, expected_position, chained=True, behind=before if behind else None)
        await self._arrive()
        moments: list[Steady] = []
        if self.times is not None:
            moments = [self._stored_at(self.times.each_s if self._is_busy() else self.times.single_s)]
            moments += [self._stored_at(self.times.each_s) for _ in messages[1:]]
        fault = self._faults.popleft() if self._faults else None
        if isinstance(fault, Midway):
            stored, fault = min(fault.stored, len(messages) - 1), fault.fault
            await self._store_chain(append, 0, stored, moments, on_stored)
        if moments:
            await self._until(moments[stored])
        if stored and isinstance(fault, Reject):
            # The others were sent, so it was the broker that refused it.
            raise AppendRefusedError(fault.reason)
        if fault is not None:
            self._suffer(fault, append)
        await self._store_chain(append, stored, len(messages), moments, on_stored)
        self.chain_sizes.append(len(messages))
        return expected_position + len(messages)

    def stage(self, messages: Sequence[NewMessage], *, expected_position: int) -> None:
        """Do nothing: there is no connection to send ahead on."""

    async def last_position(self) -> int:
        await self._read_call()
        return len(self._stored)

    async def get(self, position: int) -> StoredMessage | None:
        await self._read_call()
        if position > len(self._stored) and any(late.counted for late in self._late):
            raise LogUnavailableError("no leader")
        return self._stored[position - 1] if 0 < position <= len(self._stored) else None

    async def last_by_subject(self, subject: str) -> StoredMessage | None:
        await self._read_call()
        return next((stored for stored in reversed(self._stored) if matches(subject, stored.subject)), None)

    async def history(self, subject_filter: str) -> list[StoredMessage]:
        await self._read_call()
        found = [stored for stored in self._stored if matches(subject_filter, stored.subject)]
        self.messages_matched += len(found)
        return found

    async def matching(
        self, subject_filters: Sequence[str], *, after: int, until: int
    ) -> AsyncGenerator[Sequence[StoredMessage], None]:
        await self._read_call()
        found = [
            stored
            for stored in self._stored[after:until]
            if any(matches(subject_filter, stored.subject) for subject_filter in subject_filters)
        ]
        self.messages_matched += len(found)
        for start in range(0, len(found), READ_CHUNK_MESSAGES):
            yield found[start : start + READ_CHUNK_MESSAGES]

    async def read(self, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        while after < until:
            await self._read_call()
            if len(self._stored) < until:
                raise LogTruncatedError(f"the log ends at position {len(self._stored)}, before {until}")
            chunk = self._stored[after : min(until, after + READ_CHUNK_MESSAGES)]
            after = chunk[-1].position
            self.messages_read += len(chunk)
            yield chunk

    async def first_position(self) -> int:
        await self._read_call()
        return 1

    async def follow_chunks(self, *, after: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        chunks = self.follow(after=after)
        try:
            async for message in chunks:
                yield [message]
        finally:
            await chunks.aclose()

    async def follow(self, *, after: int) -> AsyncGenerator[StoredMessage, None]:
        while True:
            await asyncio.sleep(0)
            if len(self._stored) < after:
                raise LogTruncatedError(f"the log ends at position {len(self._stored)}, before {after}")
            if len(self._stored) == after:
                await self._change.wait()
                continue
            after += 1
            yield self._stored[after - 1]

    async def _store_chain(
        self, append: _Append, stored: int, until: int, moments: Sequence[Steady], on_stored: Callable[[int], None]
    ) -> None:
        """Store a chain's messages up to the number `until`, of which `stored` are stored; at `moments`, if any."""
        step = 1 if moments else until - stored
        while stored < until:
            stored += step
            if moments:
                await self._until(moments[stored - 1])
            self._append(append if step == len(append.messages) else append.split(step))
            for count in range(stored - step + 1, stored + 1):
                on_stored(count)

    def _is_busy(self) -> bool:
        assert self._clock is not None, "appends take time on a clock"
        return self._busy_until is not None and self._busy_until > self._clock.steady()

    def _stored_at(self, takes_s: float) -> Steady:
        """Return when something is stored that takes so long, behind what the broker has been given before."""
        assert self._clock is not None
        begins = self._busy_until if self._busy_until is not None and self._is_busy() else self._clock.steady()
        self._busy_until = steadily_after(begins, takes_s)
        return self._busy_until

    async def _until(self, moment: Steady) -> None:
        assert self._clock is not None
        await self._clock.sleep(seconds_between(self._clock.steady(), moment))

    async def _arrive(self) -> None:
        self.arrived += 1
        self._notify()
        await self._call()
        await self._gate.wait()

    def _suffer(self, fault: WholeFault, append: _Append) -> None:
        match fault:
            case Conflict(foreign):
                self._store(foreign() if callable(foreign) else foreign)
            case LoseAck():
                self._append(append)
                raise OutcomeUnknownError("the acknowledgement was lost")
            case LoseRequest():
                raise OutcomeUnknownError("the request was lost")
            case StoredLater(after_calls, counted):
                self._late.append(_Late(append, after_calls, counted, dropped=False))
                raise OutcomeUnknownError("no answer in time")
            case DroppedLater(after_calls):
                self._late.append(_Late(append, after_calls, counted=True, dropped=True))
                raise OutcomeUnknownError("no answer in time")
            case Unavailable():
                raise LogUnavailableError("no broker")
            case Reject(reason):
                raise AppendRejectedError(reason)
            case FalselyRefused(later):
                if later:
                    self._late.append(_Late(append, 0, counted=False, dropped=False))
                else:
                    self._append(append)
                raise AppendRefusedError("refused, in the name of the broker")

    def _check(self, message: NewMessage) -> None:
        if not message.subject.startswith(self._prefix):
            raise AppendRejectedError(f"not a subject of this log: {message.subject!r}")
        if not _SUBJECT.fullmatch(message.subject) or not message.subject.isprintable():
            raise AppendRejectedError(f"not a literal subject: {message.subject!r}")
        size_bytes = len("NATS/1.0\r\n\r\n") + len(message.body)
        for name, value in message.headers.items():
            if not _HEADER_NAME.fullmatch(name) or not value.isprintable() or value.strip() != value:
                raise AppendRejectedError(f"not a header of ours: {name!r}: {value!r}")
            size_bytes += len(f"{name}: {value}\r\n".encode())
        if size_bytes > MAX_MESSAGE_BYTES:
            raise AppendRejectedError(f"a message of {size_bytes} bytes is too large: {message.subject}")
        self.on_message(message)

    def _append(self, append: _Append) -> None:
        if not self._fits(append) or any(late.counted for late in self._late):
            raise AppendConflictError(f"wrong last sequence: {len(self._stored)}")
        self._take(append)
        count = len(append.messages)
        self.append_sizes += [1] * count if append.chained else [count]

    def _fits(self, append: _Append) -> bool:
        expected = append.expected_position == len(self._stored)
        return expected and (append.behind is None or append.behind is self._tail)

    def _take(self, append: _Append) -> None:
        self._store(append.messages)
        self._tail = append if append.chained else None

    def _store(self, messages: Sequence[NewMessage]) -> None:
        self._tail = None
        for message in messages:
            self._stored.append(
                StoredMessage(len(self._stored) + 1, message.subject, message.body, dict(message.headers))
            )
        self._notify()

    def _notify(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _call(self) -> None:
        """What every call does first: let others run, and let what is late arrive."""
        await asyncio.sleep(0)
        for late in tuple(self._late):
            if late.calls_left > 0:
                late.calls_left -= 1
                continue
            self._late.remove(late)
            if not late.dropped and self._fits(late.append):
                self._take(late.append)

    async def _read_call(self) -> None:
        self.reads += 1
        await self._call()
        if self._failing_reads > 0:
            self._failing_reads -= 1
            raise LogUnavailableError("no broker")


def matches(subject_filter: str, subject: str) -> bool:
    """Whether a subject matches a filter with the broker's wildcards."""
    wanted, tokens = subject_filter.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(tokens) > index
        if index >= len(tokens) or token not in ("*", tokens[index]):
            return False
    return len(wanted) == len(tokens)
