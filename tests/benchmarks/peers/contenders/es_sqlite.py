"""The `eventsourcing` library on SQLite, by its own module: a file, in the process of its callers."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.peers.contenders.library_store import LibraryStore


async def open_contender(address: dict[str, Any]) -> LibraryStore:
    """Make the application."""
    return LibraryStore(
        {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": f"{address['directory']}/events.db"}
    )
