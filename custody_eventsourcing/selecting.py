"""Selects from a stream what a recorder is asked for."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from custody_eventsourcing import records
from custody_eventsourcing.sequences import subject_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from custody_eventsourcing.reading import StreamView
    from custody_eventsourcing.streams import OpenStream
    from handlers.ports import StoredMessage

_T = TypeVar("_T")

_SPARSE_EXPECTED = 250
"""How many messages to read first where only some are wanted."""


class Selection(NamedTuple):
    """The versions of an originator that are asked for."""

    gt: int | None = None
    lte: int | None = None
    desc: bool = False
    limit: int | None = None

    def apply(self, items: list[_T], version_of: Callable[[_T], int]) -> list[_T]:
        """Return the selected items in the requested order."""
        chosen = [item for item in items if self._includes(version_of(item))]
        chosen.sort(key=version_of, reverse=self.desc)
        return chosen if self.limit is None else chosen[: max(0, self.limit)]

    def _includes(self, version: int) -> bool:
        return (self.gt is None or version > self.gt) and (self.lte is None or version <= self.lte)


async def select_of_originator(stream: OpenStream, subject: str, selection: Selection) -> list[StoredMessage]:
    """Return the selected messages of one originator; reads only the newest if that is enough."""
    if selection.gt is not None or (selection.desc and selection.limit == 1):
        newest = await stream.view.last(subject)
        if newest is None:
            return []
        known = subject_end(newest)
        stream.sequences.ends.put(subject, known)
        if known.top is not None and _newest_is_enough(selection, records.event_version(newest), known.top):
            return selection.apply([newest], records.event_version)
    messages = await stream.view.history(subject)
    if messages:
        stream.sequences.ends.put(subject, subject_end(messages[-1]))
    return selection.apply(messages, records.event_version)


def _newest_is_enough(selection: Selection, version: int, top: int) -> bool:
    if selection.gt is not None and top <= selection.gt:
        return True
    if version != top:
        return False
    if selection.gt is not None and top == selection.gt + 1:
        return True
    return selection.desc and selection.limit == 1 and (selection.lte is None or top <= selection.lte)


async def select_range(
    view: StreamView,
    wanted: Callable[[StoredMessage], _T | None],
    *,
    start: int | None,
    inclusive: bool,
    stop: int | None,
    limit: int,
    sparse: bool,
) -> list[_T]:
    """Return what `wanted` makes of the messages from `start` to `stop`, at most `limit`; it skips with None.

    `inclusive`: whether the message at `start` is one of them. `sparse`: whether only some messages are wanted.
    """
    after = 0 if start is None else max(0, start - 1 if inclusive else start)
    found: list[_T] = []
    if limit <= 0:
        return found
    expected = max(limit, _SPARSE_EXPECTED) if sparse else limit
    async with aclosing(view.read_range(after=after, stop=stop, expected=expected)) as chunks:
        async for chunk in chunks:
            for message in chunk:
                item = wanted(message)
                if item is not None:
                    found.append(item)
                    if len(found) == limit:
                        return found
    return found


async def last_event_position(stream: OpenStream) -> int | None:
    """Return the position of the newest event, or None; tracking may be stored after it."""
    last = await stream.view.last()
    if last is not None and stream.subjects.originator_id(last.subject) is None:
        last = await stream.view.last(stream.subjects.events)
    return None if last is None else last.position
