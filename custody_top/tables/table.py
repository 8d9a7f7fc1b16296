"""What every table of top is: named columns, rows that are listed anew at each tick, and what a row is about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from custody_top.lines.columns import Column
    from infra.cli.watching.watched_pool import WatchedPool
    from projections.live.live_view import Reading


class Target(NamedTuple):
    """What a person may act on, or look at closely."""

    kind: str
    """`task`, `agent` or `pool`."""
    id: str
    """Empty for the pool."""
    title: str = ""
    actions: tuple[str, ...] = ()
    """The verbs that are possible now."""
    holder: str | None = None
    """Of a task: the agent that holds it."""
    question: str | None = None
    """Of a blocked task: what it asks."""


class Row(NamedTuple):
    """One row."""

    cells: tuple[object, ...]
    style: str = ""


class Table(ABC):
    """A table's contents, as of the last tick."""

    name: ClassVar[str]
    columns: ClassVar[Sequence[Column]]
    sorts: ClassVar[Sequence[str]] = ()
    """What it can be sorted by; the first one is the order at the start."""
    empty: ClassVar[str]
    """What is said if nothing is listed."""

    def __init__(self) -> None:
        self.q = ""
        """Words that the listed rows have."""
        self.sort = self.sorts[0] if self.sorts else ""
        self.desc = False

    @abstractmethod
    def refresh(self, watch: WatchedPool, reading: Reading) -> None:
        """List anew."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows are listed."""

    @abstractmethod
    def key(self, place: int) -> str:
        """Return what identifies a row."""

    @abstractmethod
    def row(self, place: int, reading: Reading) -> Row:
        """Return a row."""

    @abstractmethod
    def target(self, place: int, reading: Reading) -> Target | None:
        """Return what a row is about; None if it is about nothing that can be opened."""

    @property
    def heading(self) -> str:
        """What is listed, and how."""
        sort = f"  by {self.sort.removesuffix('_at').replace('_', ' ')}{' ↓' if self.desc else ''}" if self.sort else ""
        return f"{self.name.upper()} {len(self):,}{self.chosen}{sort}"

    @property
    def chosen(self) -> str:
        """How the rows were chosen, in words; begins with a blank, or is empty."""
        return f"  with “{self.q}”" if self.q else ""

    def next_sort(self) -> None:
        """Sort by the next of `sorts`."""
        if self.sorts:
            self.sort = self.sorts[(self.sorts.index(self.sort) + 1) % len(self.sorts)]
            self.desc = False

    def place_of(self, key: str | None) -> int | None:
        """Return where a row is; None if it is not listed. Goes through the keys."""
        return next((place for place in range(len(self)) if self.key(place) == key), None)


def said(words: Sequence[str], *texts: Any) -> bool:
    """Return whether each word, in lower case, occurs in the texts."""
    whole = "\n".join(str(text) for text in texts if text).casefold()
    return all(word in whole for word in words)
