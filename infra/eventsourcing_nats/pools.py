"""The name under which applications have known `custody_eventsourcing.pools`."""

from custody_eventsourcing.pools import Factory, PoolFactory

__all__ = ["Factory", "PoolFactory"]
