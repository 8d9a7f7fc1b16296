"""A persistence module for the `eventsourcing` library on JetStream.

`PERSISTENCE_MODULE=infra.eventsourcing_nats` and `NATS_URL` in an application's environment are all it takes.
"""

from infra.eventsourcing_nats.errors import ForbiddenError, UnknownOutcomeError
from infra.eventsourcing_nats.factory import Factory, NatsFactory
from infra.eventsourcing_nats.recorders import (
    NatsAggregateRecorder,
    NatsApplicationRecorder,
    NatsProcessRecorder,
    NatsTrackingRecorder,
)
from infra.eventsourcing_nats.subscriptions import NatsSubscription

__all__ = [
    "Factory",
    "ForbiddenError",
    "NatsAggregateRecorder",
    "NatsApplicationRecorder",
    "NatsFactory",
    "NatsProcessRecorder",
    "NatsSubscription",
    "NatsTrackingRecorder",
    "UnknownOutcomeError",
]
