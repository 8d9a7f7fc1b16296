"""The name under which applications have known `custody_eventsourcing`; their environments go on working."""

from custody_eventsourcing import Factory, NatsFactory

__all__ = ["Factory", "NatsFactory"]
