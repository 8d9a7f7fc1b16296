"""The former name of `custody_eventsourcing`, kept for the environments of existing applications."""

from custody_eventsourcing import Factory, NatsFactory

__all__ = ["Factory", "NatsFactory"]
