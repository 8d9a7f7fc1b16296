"""PostgreSQL from the machine's packages, with a commit on disk before it is answered."""

from __future__ import annotations

from tests.benchmarks.peers.servers.server import Address, MissingError, Server
from tests.support.postgres import Postgres, binaries

DURABLE = ("fsync=on", "synchronous_commit=on", "shared_buffers=512MB", "max_wal_size=4GB", "max_connections=300")


class PostgresServer(Server):
    """A cluster of its own; `options` beside those above."""

    postgres: Postgres | None = None

    def __init__(self, *options: str) -> None:
        super().__init__()
        self._options = (*DURABLE, *options)

    def start(self) -> Address:
        """Return the URL of its database."""
        if binaries() is None:
            raise MissingError("PostgreSQL is not installed: apt-get install postgresql")
        self.postgres = Postgres(self.directory, self._options)
        self.postgres.initialise()
        self.postgres.start()
        return {"url": self.postgres.url()}

    def stop(self) -> None:
        """Stop it at once."""
        if self.postgres is not None:
            self.postgres.stop()
        super().stop()
