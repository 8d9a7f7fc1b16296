"""Shared results of look-ups: one that is under way serves every caller, and the last results are kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

V = TypeVar("V")

MAX_KEPT = 2_000
"""Results that are kept; those asked for least recently go first."""
MAX_KEPT_BYTES = 16 * 1024 * 1024
"""Bytes of the events that they hold."""


NOT_KEPT = -1
"""The size of a result that is not kept."""


class Found(NamedTuple, Generic[V]):
    """A result, and roughly how many bytes of events it holds; a result of negative size is not kept."""

    value: V
    size: int


class _Cancelled:
    """The outcome of a look-up that was cancelled together with the caller that began it."""


_CANCELLED = _Cancelled()


class SharedResults(Generic[V]):
    """Results by key. A key must name what never changes, unless its results are replaced with `keep`."""

    def __init__(self, max_kept: int = MAX_KEPT, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_kept = max_kept
        self._max_kept_bytes = max_kept_bytes
        self._kept: OrderedDict[Hashable, Found[V]] = OrderedDict()
        self._kept_bytes = 0
        self._under_way: dict[Hashable, asyncio.Future[V | _Cancelled]] = {}

    def kept(self, key: Hashable) -> V | None:
        """Return a result that is kept, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found.value

    def keep(self, key: Hashable, found: Found[V]) -> None:
        """Keep a result in place of the key's earlier one, and drop the oldest beyond the limits."""
        self._drop(key)
        if found.size < 0:
            return
        self._kept[key] = found
        self._kept_bytes += found.size
        while len(self._kept) > self._max_kept or self._kept_bytes > self._max_kept_bytes:
            self._drop(next(iter(self._kept)))

    async def get(self, key: Hashable, look_up: Callable[[], Awaitable[Found[V]]]) -> V:
        """Return the key's result if it is kept; else look it up, once for all callers that ask meanwhile.

        Raises what the look-up raises, in all of them. If the first caller is cancelled, the next one begins anew.
        """
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found.value
        return await self.share(key, look_up)

    async def share(self, key: Hashable, look_up: Callable[[], Awaitable[Found[V]]]) -> V:
        """As `get`, but look up also what is kept; unless it is being looked up already."""
        while (under_way := self._under_way.get(key)) is not None:
            value = await asyncio.shield(under_way)
            if not isinstance(value, _Cancelled):
                return value
        outcome: asyncio.Future[V | _Cancelled] = asyncio.get_running_loop().create_future()
        self._under_way[key] = outcome
        try:
            found = await look_up()
        except Exception as error:
            outcome.set_exception(error)
            outcome.exception()  # marks it as retrieved: there may be no other waiter
            raise
        except BaseException:
            outcome.set_result(_CANCELLED)
            raise
        finally:
            del self._under_way[key]
        outcome.set_result(found.value)
        self.keep(key, found)
        return found.value

    def _drop(self, key: Hashable) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._kept_bytes -= found.size
