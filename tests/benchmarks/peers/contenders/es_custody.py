"""The `eventsourcing` library on JetStream, by Custody's module."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.peers.contenders.library_store import LibraryStore


async def open_contender(address: dict[str, Any]) -> LibraryStore:
    """Make the application."""
    return LibraryStore({"PERSISTENCE_MODULE": "custody_eventsourcing", "NATS_URL": address["url"]})
