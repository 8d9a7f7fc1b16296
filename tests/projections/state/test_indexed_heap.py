"""The indexed heap against a dictionary that is sorted when it is asked."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from projections.state.indexed_heap import IndexedHeap

keys = st.sampled_from("abcdefgh")
priorities = st.integers(0, 5)


class HeapModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.heap: IndexedHeap[str, int] = IndexedHeap()
        self.model: dict[str, int] = {}

    def expected(self) -> list[tuple[int, str]]:
        return sorted((priority, key) for key, priority in self.model.items())

    @rule(key=keys, priority=priorities)
    def put(self, key: str, priority: int) -> None:
        self.heap.set(key, priority)
        self.model[key] = priority

    @rule(key=keys)
    def remove(self, key: str) -> None:
        self.heap.remove(key)
        self.model.pop(key, None)

    @rule()
    def pop(self) -> None:
        first = self.heap.pop()
        assert first == next(iter(self.expected()), None)
        if first is not None:
            del self.model[first[1]]

    @rule(count=st.integers(0, 10))
    def first(self, count: int) -> None:
        assert self.heap.first(count) == self.expected()[:count]

    @invariant()
    def agrees(self) -> None:
        expected = self.expected()
        assert len(self.heap) == len(expected)
        assert self.heap.peek() == next(iter(expected), None)
        assert dict(self.heap.items()) == self.model
        for key in "abcdefgh":
            assert (key in self.heap) == (key in self.model)
            assert self.heap.priority(key) == self.model.get(key)


TestHeapModel = HeapModel.TestCase
TestHeapModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_stale_entries_are_cleared_away() -> None:
    heap: IndexedHeap[int, int] = IndexedHeap()
    for number in range(10_000):
        heap.set(number % 10, number)
    assert len(heap._heap) < 200  # noqa: SLF001 - memory shows nowhere else
    assert heap.first(2) == [(9990, 0), (9991, 1)]


def test_a_key_that_was_removed_and_set_again_is_there_once() -> None:
    heap: IndexedHeap[str, int] = IndexedHeap()
    heap.set("a", 1)
    heap.remove("a")
    heap.set("a", 1)
    assert heap.first(5) == [(1, "a")]
    assert heap.pop() == (1, "a")
    assert heap.pop() is None
