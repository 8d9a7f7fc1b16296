"""NATS: connections to the broker, the stream of a pool, the event log on that stream."""

from infra.nats.auth import Auth, Tls
from infra.nats.broker_errors import (
    BrokerError,
    BrokerTooOldError,
    BrokerUnavailableError,
    CredentialsError,
    NoJetStreamError,
    StreamMismatchError,
)
from infra.nats.connection import NatsConnection, PermissionViolation, connect, without_password
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import StreamFacts, StreamSettings, ensure_stream, evt_prefix, feed_prefix, stream_name

__all__ = [
    "Auth",
    "BrokerError",
    "BrokerTooOldError",
    "BrokerUnavailableError",
    "CredentialsError",
    "NatsConnection",
    "NatsEventLog",
    "NoJetStreamError",
    "PermissionViolation",
    "StreamFacts",
    "StreamMismatchError",
    "StreamSettings",
    "Tls",
    "connect",
    "ensure_stream",
    "evt_prefix",
    "feed_prefix",
    "stream_name",
    "without_password",
]
