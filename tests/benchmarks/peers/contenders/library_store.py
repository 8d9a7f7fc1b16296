"""An application of the `eventsourcing` library; its persistence module is a contender."""

from __future__ import annotations

from uuid import UUID

from eventsourcing.application import Application


class Saves(Application[UUID]):
    """The application whose saves and reads are measured."""


class LibraryStore:
    """The application on one persistence module."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.application = Saves(environment)

    async def close(self) -> None:
        """Close its connections."""
        self.application.close()
