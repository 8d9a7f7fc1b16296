"""Commands that are decided together and appended in one piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.hash_chain import hash_in
from handlers.ports import MAX_BATCH_MESSAGES
from handlers.writer.waiting_claims import affects_waiting

if TYPE_CHECKING:
    from datetime import datetime

    from domain.decision import Decision
    from domain.recorded import Recorded
    from handlers.ports import Codec, NewMessage
    from handlers.writer.jobs import Job

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""A batch takes no further command once its bodies exceed this; checked after each slice of commands."""
MAX_BATCH_COMMANDS = 2_000
"""Refusals and other commands without events count too, for their callers wait for the batch."""


@dataclass(slots=True, eq=False)
class Batch:
    """Jobs with their decisions, and the messages that these make, right after position `base` of the log."""

    base: int
    max_commands: int
    tail_hash: str | None
    """Hash of its last message, or of the message before it while it has none."""
    end_time: datetime
    """Time of its last event, or of the event before it while it has none."""
    jobs: list[Job] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)
    unencoded: list[Recorded] = field(default_factory=list)
    """Events that follow these messages; `encode` makes messages of them."""
    size_bytes: int = 0
    deciding_s: float = 0.0
    """Time spent on deciding, in seconds."""
    affects_waiting: bool = False
    """Whether a claim may begin to wait with it, be woken by it, or be answered by it."""
    divisible: bool = True
    """Whether no command in it has several events, so that the log may take a part of it."""
    traced: bool = False
    """Whether something follows the way of a command in it."""
    closed: bool = False
    """Whether it takes no further job, because one in it or the next one must be alone, or has too many events."""

    @property
    def changes(self) -> int:
        """How many entities it replaces in the state."""
        return sum([len(decision.after) for decision in self.decisions])

    @property
    def end(self) -> int:
        """The position of its last message."""
        return self.base + len(self.messages) + len(self.unencoded)

    @property
    def full(self) -> bool:
        """Whether it takes no further job."""
        return self.closed or self.size_bytes >= MAX_BATCH_BYTES or len(self.jobs) >= self.max_commands

    def has_room_for(self, messages: int) -> bool:
        """Return whether so many more messages fit into one atomic batch."""
        return len(self.messages) + len(self.unencoded) + messages <= MAX_BATCH_MESSAGES

    def close(self) -> None:
        """Take no further job."""
        self.closed = True

    def spend(self, seconds: float) -> None:
        """Count time that was spent on deciding its jobs."""
        self.deciding_s += seconds

    def add(self, job: Job, decision: Decision) -> None:
        """Take one more job with its decision; `encode` has to follow."""
        self.jobs.append(job)
        self.decisions.append(decision)
        self.unencoded += decision.records
        self.closed = job.alone
        if len(decision.records) > 1:
            self.divisible = False
        if decision.waits:
            self.affects_waiting = True
        if job.trace is not None:
            self.traced = True

    def take_first(self, events: int) -> Batch:
        """Split off the commands that make the first `events` messages, and those without events behind them.

        It must be divisible, and have no unencoded events.
        """
        count = stored = 0
        for decision in self.decisions:
            stored += len(decision.records)
            if stored > events:
                break
            count += 1
        first = Batch(
            self.base,
            self.max_commands,
            hash_in(self.messages[events - 1].headers),
            next(decision.records[0].time for decision in reversed(self.decisions[:count]) if decision.records),
            self.jobs[:count],
            self.decisions[:count],
            self.messages[:events],
            affects_waiting=self.affects_waiting,
            traced=self.traced,
        )
        self.base += events
        del self.jobs[:count], self.decisions[:count], self.messages[:events]
        return first

    def note_sent(self) -> None:
        """Let what follows its commands know that it was sent."""
        if self.traced:
            for job in self.jobs:
                if job.trace is not None:
                    job.trace.sent(len(self.jobs), len(self.messages))

    def note_stored(self) -> None:
        """Let what follows its commands know that it was acknowledged."""
        if self.traced:
            for job in self.jobs:
                if job.trace is not None:
                    job.trace.stored()

    def encode(self, codec: Codec, end_time: datetime) -> None:
        """Make messages of the events that were added: many at once, which is quicker than one by one."""
        if self.unencoded:
            self.end_time = end_time
            self.affects_waiting = self.affects_waiting or affects_waiting(self.unencoded)
            messages, self.tail_hash = codec.encode(self.unencoded, self.tail_hash)
            self.unencoded = []
            self.messages += messages
            self.size_bytes += sum([len(message.body) for message in messages])
