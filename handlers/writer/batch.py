"""Commands that are decided together and appended in one piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.limits import MAX_EVENTS_PER_COMMAND
from handlers.writer.waiting_claims import stirs

if TYPE_CHECKING:
    from datetime import datetime

    from domain.draft import Decision
    from domain.recorded import Recorded
    from handlers.ports import Codec, NewMessage
    from handlers.writer.jobs import Job

MAX_GROUP_BYTES = 4 * 1024 * 1024
"""A group takes no further command once its bodies exceed this; looked at after every few commands."""
MAX_GROUP_MESSAGES = MAX_EVENTS_PER_COMMAND
MAX_GROUP_COMMANDS = 2_000
"""Refusals and other commands without events count too, for their callers wait for the group."""


@dataclass(slots=True, eq=False)
class Group:
    """Jobs with their decisions, and the messages that these make; right after `base` in the log."""

    base: int
    most: int
    """Commands that it takes."""
    tail_hash: str | None
    """Hash of the last message: of this group, or before it."""
    end_time: datetime
    """Of its last event, or of the log before it."""
    jobs: list[Job] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)
    unencoded: list[Recorded] = field(default_factory=list)
    """Events behind these messages; `seal` makes messages of them."""
    size_bytes: int = 0
    deciding_s: float = 0.0
    """Time that deciding took, in seconds."""
    stirs: bool = False
    """Whether a claim may begin to wait with it, or be woken by it."""
    closed: bool = False
    """Whether a job that must be alone is in it."""

    @property
    def changes(self) -> int:
        """Entities replaced in the state, for committing just these."""
        return sum([len(decision.after) for decision in self.decisions])

    @property
    def end(self) -> int:
        """The position of its last message."""
        return self.base + len(self.messages) + len(self.unencoded)

    @property
    def full(self) -> bool:
        """Whether it takes no further job."""
        return self.closed or self.size_bytes >= MAX_GROUP_BYTES or len(self.jobs) >= self.most

    def has_room_for(self, messages: int) -> bool:
        """Return whether so many messages more still fit in one atomic batch."""
        return len(self.messages) + len(self.unencoded) + messages <= MAX_GROUP_MESSAGES

    def add(self, job: Job, decision: Decision) -> None:
        """Take one more job with what it came to; `seal` follows."""
        self.jobs.append(job)
        self.decisions.append(decision)
        self.unencoded += decision.records
        self.closed = job.alone
        if decision.waits:
            self.stirs = True

    def seal(self, codec: Codec, end_time: datetime) -> None:
        """Make messages of the events that were added; of many at once, which is quicker than one by one."""
        if self.unencoded:
            self.end_time = end_time
            self.stirs = self.stirs or stirs(self.unencoded)
            messages, self.tail_hash = codec.encode(self.unencoded, self.tail_hash)
            self.unencoded = []
            self.messages += messages
            self.size_bytes += sum([len(message.body) for message in messages])
