"""Where a scan of all live tasks runs: beside the event loop if there are many."""

import threading

import pytest

from handlers.answering.large_scans import LARGE_POOL, scan


@pytest.mark.parametrize(("tasks", "beside"), [(0, False), (LARGE_POOL, False), (LARGE_POOL + 1, True)])
async def test_many_tasks_are_gone_through_in_a_thread(tasks: int, *, beside: bool) -> None:
    ran_in = await scan(tasks, threading.current_thread)
    assert (ran_in is not threading.current_thread()) is beside
