"""The queue of jobs: its limits, and which jobs are not timed out."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.commands.service_commands import Judge
from domain.recorded import Recorded
from domain.request import Request
from handlers.ports import Steady, steadily_after
from handlers.writer.job_queue import JobQueue
from handlers.writer.jobs import Job
from tests.support.scenario import Scenario

START = Steady(datetime(2026, 11, 21, 8, tzinfo=UTC))
TIMEOUT_S = 5.0


def job(size: int = 10, *, received_s: float = 0.0, called: bool = True) -> Job:
    return Job(
        Request(Judge(()), "ops", "id"),
        lambda _job, _answer: None,
        steadily_after(START, received_s),
        size=size,
        on_timeout=(lambda _job: None) if called else None,
    )


def timed_out(queue: JobQueue, at_s: float) -> list[Job]:
    return queue.remove_timed_out(steadily_after(START, at_s), TIMEOUT_S)


def an_event() -> Recorded:
    s = Scenario()
    return s.given("ops", "submit", task_id="T").records[0]


def test_its_limits_are_on_callers_jobs_and_on_their_bytes() -> None:
    queue = JobQueue(max_jobs=3, max_bytes=100)
    assert [queue.offer(job(50)), queue.offer(job(51)), queue.offer(job(50)), queue.offer(job(1))] == [
        True, False, True, False,
    ]  # fmt: skip
    queue.put_first(job(0))
    assert not queue.offer(job(0)), "three jobs are all that it takes"
    queue.put_first(job(10))
    assert (len(queue), queue.size_bytes) == (4, 110)


def test_what_leaves_it_makes_room() -> None:
    queue = JobQueue(max_jobs=9, max_bytes=100)
    late, kept = job(60), job(40, received_s=3)
    assert queue.offer(late)
    assert queue.offer(kept)
    assert timed_out(queue, 4.9) == []
    assert timed_out(queue, 5.0) == [late], "right at the timeout"
    assert (list(queue), queue.size_bytes) == ([kept], 40)
    assert queue.offer(job(60))
    assert queue.pop() is kept
    assert queue.size_bytes == 60
    queue.clear()
    assert (len(queue), queue.size_bytes) == (0, 0)


def test_what_was_begun_what_waited_and_what_has_no_caller_is_not_timed_out() -> None:
    begun, waited, own, late = job(), job(), job(called=False), job()
    begun.continue_with(begun.request, [an_event()])
    waited.park(steadily_after(START, 30), [])
    queue = JobQueue(max_jobs=9, max_bytes=100)
    for each in (begun, waited, own, late):
        assert queue.offer(each)
    assert timed_out(queue, 60) == [late]
    assert list(queue) == [begun, waited, own]
