"""The `eventsourcing` library on PostgreSQL, by its own module."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.peers.contenders.library_store import LibraryStore

CONNECTIONS = "32"


async def open_contender(address: dict[str, Any]) -> LibraryStore:
    """Make the application."""
    url = urlsplit(address["url"])
    return LibraryStore(
        {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": url.path[1:],
            "POSTGRES_HOST": str(url.hostname),
            "POSTGRES_PORT": str(url.port),
            "POSTGRES_USER": str(url.username),
            "POSTGRES_PASSWORD": "",
            "POSTGRES_POOL_SIZE": CONNECTIONS,
        }
    )
