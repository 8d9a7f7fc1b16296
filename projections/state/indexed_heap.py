"""A priority queue whose entries can be changed and removed: a binary heap with stale entries skipped."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

K = TypeVar("K", bound="Hashable")
P = TypeVar("P")

_SLACK = 64


class IndexedHeap(Generic[K, P]):
    """Keys by priority, the smallest first; keys of equal priority by the key itself.

    Setting, removing and taking the first cost O(log n), amortised; stale entries never outnumber the live ones
    by more than a constant.
    """

    def __init__(self) -> None:
        self._priorities: dict[K, P] = {}
        self._heap: list[tuple[Any, Any]] = []

    def __len__(self) -> int:
        return len(self._priorities)

    def __contains__(self, key: K) -> bool:
        return key in self._priorities

    def __iter__(self) -> Iterator[K]:
        return iter(self._priorities)

    def priority(self, key: K) -> P | None:
        """Return a key's priority, or None if it is not here."""
        return self._priorities.get(key)

    def set(self, key: K, priority: P) -> None:
        """Insert a key, or change its priority."""
        if self._priorities.get(key) == priority:
            return
        self._priorities[key] = priority
        heapq.heappush(self._heap, (priority, key))
        if len(self._heap) > 2 * len(self._priorities) + _SLACK:
            self._heap = [(each, key) for key, each in self._priorities.items()]
            heapq.heapify(self._heap)

    def remove(self, key: K) -> None:
        """Take a key out, if it is here."""
        self._priorities.pop(key, None)

    def peek(self) -> tuple[P, K] | None:
        """Return the first priority and its key, or None if empty."""
        heap, priorities = self._heap, self._priorities
        while heap:
            priority, key = heap[0]
            if key in priorities and priorities[key] == priority:
                return priority, key
            heapq.heappop(heap)
        return None

    def pop(self) -> tuple[P, K] | None:
        """Remove and return the first priority and its key, or None if empty."""
        first = self.peek()
        if first is not None:
            heapq.heappop(self._heap)
            del self._priorities[first[1]]
        return first

    def first(self, count: int) -> list[tuple[P, K]]:
        """Return the first entries in order, at most `count`, leaving them in place. Costs O(count log n)."""
        taken: list[tuple[P, K]] = []
        while len(taken) < count and (entry := self.pop()) is not None:
            taken.append(entry)
        for priority, key in taken:
            self.set(key, priority)
        return taken

    def items(self) -> Iterator[tuple[K, P]]:
        """Iterate over all keys with their priorities, in no particular order."""
        return iter(self._priorities.items())
