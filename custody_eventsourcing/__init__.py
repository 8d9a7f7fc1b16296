"""A persistence module for the `eventsourcing` library on JetStream.

Set `PERSISTENCE_MODULE=custody_eventsourcing` and `NATS_URL` in the application's environment.
"""

from custody_eventsourcing.factory import Factory, NatsFactory
from custody_eventsourcing.library_errors import ForbiddenError, UnknownOutcomeError
from custody_eventsourcing.recorders import (
    NatsAggregateRecorder,
    NatsApplicationRecorder,
    NatsProcessRecorder,
    NatsTrackingRecorder,
)
from custody_eventsourcing.subscriptions import NatsSubscription

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
