"""The jobs that wait to be decided, in order, within limits on their number and their bytes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handlers.ports import Steady
    from handlers.writer.jobs import Job


class JobQueue:
    """First in, first decided; the service's own commands go ahead."""

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._jobs: deque[Job] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    @property
    def first(self) -> Job:
        """The job that comes next. The queue must not be empty."""
        return self._jobs[0]

    def offer(self, job: Job) -> bool:
        """Add a caller's job at the end if there is room; return whether there was."""
        size_bytes = self.size_bytes + job.size
        if len(self._jobs) >= self._max_jobs or size_bytes > self._max_bytes:
            return False
        self._jobs.append(job)
        self.size_bytes = size_bytes
        return True

    def put_first(self, job: Job) -> None:
        """Add a job that comes next, whatever the queue's length."""
        self._jobs.appendleft(job)
        self.size_bytes += job.size

    def pop(self) -> Job:
        """Remove and return the job that comes next."""
        job = self._jobs.popleft()
        self.size_bytes -= job.size
        return job

    def clear(self) -> None:
        """Remove every job."""
        self._jobs.clear()
        self.size_bytes = 0

    def remove_timed_out(self, now: Steady, timeout_s: float) -> list[Job]:
        """Remove and return callers' jobs that were received `timeout_s` ago or earlier and were not begun.

        The second part of a command that was begun stays, and so does a claim that waited.
        """
        late = [job for job in self._jobs if _timed_out(job, now, timeout_s)]
        if late:
            dropped = set(map(id, late))
            self._jobs = deque(job for job in self._jobs if id(job) not in dropped)
            self.size_bytes -= sum(job.size for job in late)
        return late


def _timed_out(job: Job, now: Steady, timeout_s: float) -> bool:
    return (
        job.on_timeout is not None
        and not job.prior
        and job.wait_until is None
        and seconds_between(job.received_at, now) >= timeout_s
    )
