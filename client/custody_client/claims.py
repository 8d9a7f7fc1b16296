"""Claims, in pace with the free slots: no more tasks are asked for than can be begun at once."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from custody_client.calls import Answer
from custody_client.clock import steady_s
from custody_client.errors import AtCapacity, Banned, ContractError, Paused
from custody_client.life import Life
from custody_client.limits import MAX_CLAIM
from custody_client.wire import Lease, Leases

_log = logging.getLogger("custody_client")

MAX_WAITING = 14
"""Claims under way at once; the service lets an agent have 16 that wait."""
MERGE_S = 0.1
"""After an answer without work the slots of other such answers are waited for, so that one claim asks for all."""
MAX_SINGLE = 16
"""Of more free slots than this, one claim asks for all: then one batch is quicker."""
NOT_NOW_S = 1.0
"""Pause after a claim that cannot be granted now."""
TOO_SOON = 0.5
"""An empty answer after less than this share of the time to wait: the service ends, or the agent drains."""


class Claims:
    """Claims for one worker, for as long as `run` runs."""

    def __init__(
        self, life: Life, free: Callable[[], int], take: Callable[[Lease, Answer], None], *, wait_s: float
    ) -> None:
        """`free`: how many slots are free. `take`: takes each lease. `wait_s`: how long a claim waits for work."""
        self._life = life
        self._free = free
        self._take = take
        self._wait_s = wait_s
        self._asked_for = 0
        self._plenty = False
        """Whether the last claim was granted all that it asked for."""
        self._emptied = False
        """Whether a claim came back without work."""
        self._changed = asyncio.Event()
        self.found_nothing = asyncio.Event()
        """Set when a claim that does not wait came back empty."""

    def slot_freed(self) -> None:
        """Look again at how many slots are free."""
        self._changed.set()

    async def run(self) -> None:
        """Claim until this is cancelled; raises Refused if the agent may not."""
        async with asyncio.TaskGroup() as claiming:
            under_way: set[asyncio.Task[None]] = set()
            while True:
                wanted = self._share(self._free() - self._asked_for)
                if wanted > 0 and len(under_way) < MAX_WAITING:
                    self._asked_for += wanted
                    task = claiming.create_task(self._claim(wanted))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    continue
                await self._changed.wait()
                if self._emptied:
                    await asyncio.sleep(MERGE_S)
                    self._emptied = False
                self._changed.clear()

    def _share(self, free: int) -> int:
        """Return how many tasks the next claim asks for, with so many slots free.

        While there is more work than slots, a few slots ask for themselves: a claim that is granted several tasks is
        one atomic batch of the log, which takes longer than as many single grants, and its tasks go on in step.
        """
        return 1 if self._plenty and 0 < free <= MAX_SINGLE else min(free, MAX_CLAIM)

    async def _claim(self, wanted: int) -> None:
        asked_at = steady_s()
        try:
            body = {"max": wanted, "wait_s": self._wait_s}
            answer = await self._life.command("claim", body, wait_s=self._wait_s)
            leases = answer.read(Leases).leases
            self._plenty = len(leases) == wanted
            self._emptied = not leases
            for lease in leases:
                self._take(lease, answer)
            if not leases and steady_s() - asked_at < self._wait_s * TOO_SOON:
                await asyncio.sleep(_spread(NOT_NOW_S / 4))
            if not leases and not self._wait_s:
                self.found_nothing.set()
                await asyncio.sleep(_spread(NOT_NOW_S / 4))
        except (Paused, AtCapacity) as refused:
            _log.debug("%s: nothing is granted now: %s", self._life.name, refused)
            await asyncio.sleep(_spread(NOT_NOW_S))
        except ContractError as error:
            _log.warning("%s: a claim had no usable answer: %s", self._life.name, error)
            await asyncio.sleep(_spread(NOT_NOW_S))
        except Banned as refused:
            _log.warning("%s: may not claim: %s", self._life.name, refused)
            await asyncio.sleep(_spread(10 * NOT_NOW_S))
        finally:
            self._asked_for -= wanted
            self._changed.set()


def _spread(pause_s: float) -> float:
    return pause_s * random.uniform(0.75, 1.25)  # noqa: S311 - spreads what comes back at once
