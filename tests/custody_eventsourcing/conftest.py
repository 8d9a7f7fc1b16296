"""Applications of the `eventsourcing` library on the session's broker, with streams of their own for every test."""

import secrets
from collections.abc import Iterator

import pytest

from custody_eventsourcing import NatsFactory
from infra.broker.embedded import EmbeddedBroker


@pytest.fixture
def nats_env(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of an application; also set in this process, for objects that the library's cases construct."""
    credentials = broker.credentials("admin")
    env = {
        "PERSISTENCE_MODULE": "custody_eventsourcing",
        "NATS_URL": broker.url,
        "NATS_USER": credentials["user"],
        "NATS_PASSWORD": credentials["password"],
        "NATS_STREAM_PREFIX": f"t{secrets.token_hex(6)}",
    }
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    return env


@pytest.fixture
def factory(nats_env: dict[str, str]) -> Iterator[NatsFactory]:
    """A factory that is closed afterwards."""
    made = NatsFactory(nats_env)
    yield made
    made.close()
