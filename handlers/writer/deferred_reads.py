"""Looks at the pool's memory that wait until it rests: until everything in it is acknowledged by the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from domain.timestamps import seconds_between
from handlers.ports import LogUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from handlers.memory.memory import Memory

_T = TypeVar("_T")


class _Look(NamedTuple):
    call: Callable[[], None]
    give_up: Callable[[], None]
    asked_at: datetime


class Boundary:
    """The looks that wait."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._looks: list[_Look] = []

    def __bool__(self) -> bool:
        return bool(self._looks)

    def ask(self, look: Callable[[Memory], _T], now: datetime) -> asyncio.Future[_T]:
        """Return what `look` will return; LogUnavailableError if the state is not acknowledged in time."""
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

        def call() -> None:
            if not future.cancelled():
                try:
                    future.set_result(look(self._memory))
                except Exception as error:  # noqa: BLE001 - handed to the one who asked
                    future.set_exception(error)

        def give_up() -> None:
            if not future.cancelled():
                future.set_exception(LogUnavailableError("the state was not acknowledged in time"))

        self._looks.append(_Look(call, give_up, now))
        return future

    def reached(self) -> None:
        """Let everybody look: the memory rests."""
        looks, self._looks = self._looks, []
        for look in looks:
            look.call()

    def give_up(self, now: datetime, timeout_s: float) -> bool:
        """Send away who has waited for so long; return whether anybody was."""
        late = [look for look in self._looks if seconds_between(look.asked_at, now) >= timeout_s]
        if late:
            self._looks = [look for look in self._looks if seconds_between(look.asked_at, now) < timeout_s]
            for look in late:
                look.give_up()
        return bool(late)
