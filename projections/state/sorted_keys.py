"""Keys in order, in blocks: adding, removing and finding a place cost O(log n) comparisons and a short shift.

One list would shift half of its keys whenever one of a million comes or goes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class _Comparable(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=_Comparable)

BLOCK = 1_000
"""Keys in a block; one of twice as many is split."""


class SortedKeys(Generic[K]):
    """Distinct keys, which can be compared, the smallest first."""

    __slots__ = ("_blocks", "_lasts", "_size")

    def __init__(self, keys: Iterable[K] = ()) -> None:
        ordered = sorted(keys)
        self._blocks: list[list[K]] = [ordered[start : start + BLOCK] for start in range(0, len(ordered), BLOCK)]
        """None is empty."""
        self._lasts: list[K] = [block[-1] for block in self._blocks]
        """The last key of each block."""
        self._size = len(ordered)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        for block in self._blocks:
            yield from block

    def add(self, key: K) -> None:
        """Insert a key that is not here."""
        self._size += 1
        lasts = self._lasts
        if not lasts:
            self._blocks.append([key])
            lasts.append(key)
            return
        if lasts[-1] < key:
            at = len(lasts) - 1
            block = self._blocks[at]
            block.append(key)
            lasts[at] = key
        else:
            at = bisect_left(lasts, key)
            block = self._blocks[at]
            insort(block, key)
        if len(block) > 2 * BLOCK:
            self._blocks.insert(at + 1, block[BLOCK:])
            del block[BLOCK:]
            lasts.insert(at, block[-1])

    def remove(self, key: K) -> None:
        """Take a key out.

        Raises:
            KeyError: it is not here.
        """
        at = bisect_left(self._lasts, key)
        block = self._blocks[at] if at < len(self._blocks) else []
        place = bisect_left(block, key)
        if place == len(block) or block[place] != key:
            raise KeyError(key)
        del block[place]
        self._size -= 1
        if not block:
            del self._blocks[at], self._lasts[at]
        else:
            self._lasts[at] = block[-1]

    def first(self) -> K | None:
        """Return the smallest key, or None if there is none."""
        return self._blocks[0][0] if self._blocks else None

    def following(self, place: Any, place_of: Callable[[K], Any]) -> Iterator[K]:
        """Iterate over the keys whose place is beyond this one; `place_of` must not change the order of the keys."""
        at = bisect_right(self._lasts, place, key=place_of)
        if at < len(self._blocks):
            block = self._blocks[at]
            yield from block[bisect_right(block, place, key=place_of) :]
            for later in self._blocks[at + 1 :]:
                yield from later
