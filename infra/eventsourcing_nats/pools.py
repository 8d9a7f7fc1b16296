"""The former name of `custody_eventsourcing.pools`, kept for the environments of existing applications."""

from custody_eventsourcing.pools import Factory, PoolFactory

__all__ = ["Factory", "PoolFactory"]
