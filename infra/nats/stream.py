"""The stream of a pool's log: its configuration, its creation, and the check of an existing one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlers.ports import LogUnavailableError, evt_prefix
from infra.nats.api import ApiNoRespondersError, JetStreamApi
from infra.nats.broker_errors import (
    BrokerError,
    BrokerTooOldError,
    BrokerUnavailableError,
    LogGoneError,
    NoJetStreamError,
    StreamMismatchError,
)
from infra.nats.import_mark import unfinished_import
from infra.nats.jetstream_errors import (
    JETSTREAM_NOT_ENABLED,
    JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
    SERVICE_UNAVAILABLE,
    ApiError,
)
from infra.nats.wire_format import NS_PER_S

if TYPE_CHECKING:
    from infra.nats.connection import NatsConnection

OLDEST_BROKER = (2, 12, 1)
"""The first version whose atomic batches refuse duplicates."""

IDLE_CONSUMER_S = 300
"""A consumer of the log that nothing uses for so long is deleted by the broker. It makes 1,000 for a stream and then no
more, so those that are left behind would keep the service from reading its log."""

DUPLICATE_WINDOW_S = 0.1
"""For so long the broker remembers each message's id: the shortest that it allows. Ids only hold chains together; by
default it would remember them for two minutes."""

READY_DEADLINE_S = 15.0
_POLL_TIMEOUT_S = 1.0
_POLL_PAUSE_S = 0.1


def stream_name(pool: str) -> str:
    """The name of the pool's stream."""
    return f"CUSTODY_{pool}"


def feed_prefix(pool: str) -> str:
    """The prefix of the subjects on which the stream republishes every accepted event."""
    return f"custody.{pool}.feed."


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """The settings of the stream that an operator may choose; the event log depends on the others."""

    replicas: int = 1
    compression: bool = False
    """Whether to compress with s2. Point reads become slow; with replicas and `sync_interval: always`, killing a broker
    can corrupt its replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """How the log is stored, and so what an acknowledged event survives."""

    stream: str
    created: bool
    """Whether `ensure_stream` created it."""
    first_position: int
    last_position: int
    replicas: int
    storage: str
    compression: str
    server_version: str
    sync_interval: str | None = None
    """The broker's setting, if the caller knows it; a client cannot read it."""

    def durability(self) -> str:
        """Return one line on what an acknowledged event survives."""
        copies = "1 copy" if self.replicas == 1 else f"{self.replicas} copies"
        held = f"{self.stream}: {copies} in {self.storage} storage, compression {self.compression}"
        cut = "a power cut" if self.replicas == 1 else "a power cut of most copies at once"
        if self.sync_interval == "always":
            worth = "every acknowledged event is on disk"
        elif self.sync_interval is not None:
            worth = f"synced to disk every {self.sync_interval}: {cut} can lose what was acknowledged since"
        else:
            worth = (
                "how often it syncs to disk cannot be asked; unless it is set to `sync_interval: always`, "
                f"{cut} can lose up to two minutes of acknowledged events"
            )
        return f"{held}, nats-server {self.server_version}; {worth}"


KEEPS_EVERYTHING: dict[str, Any] = {
    "storage": "file",
    "retention": "limits",
    "discard": "new",
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "allow_atomic": True,
    "allow_direct": True,
    "deny_delete": True,
    "deny_purge": True,
}
"""The settings of a stream that takes atomic batches and from which nothing goes."""


def stream_config(pool: str, settings: StreamSettings) -> dict[str, Any]:
    """The configuration the pool's stream is created with."""
    return {
        "name": stream_name(pool),
        "description": f"The event log of the Custody pool {pool}",
        "subjects": [f"{evt_prefix(pool)}>"],
        "republish": {"src": f"{evt_prefix(pool)}>", "dest": f"{feed_prefix(pool)}>"},
        "num_replicas": settings.replicas,
        "compression": "s2" if settings.compression else "none",
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "consumer_limits": {"inactive_threshold": IDLE_CONSUMER_S * NS_PER_S},
        "duplicate_window": int(DUPLICATE_WINDOW_S * NS_PER_S),
        **KEEPS_EVERYTHING,
    }


# Fields that the broker leaves out of an answer while they have this value, and fields that must not be switched on.
_WHEN_ABSENT: dict[str, Any] = {
    "allow_atomic": False,
    "allow_direct": False,
    "deny_delete": False,
    "deny_purge": False,
    "compression": "none",
    "max_age": 0,
    "republish": None,
    "no_ack": False,
    "sealed": False,
    "mirror": None,
    "sources": None,
    "subject_transform": None,
    "allow_rollup_hdrs": False,
    "allow_msg_ttl": False,
    "allow_msg_counter": False,
    "allow_msg_schedules": False,
    "discard_new_per_subject": False,
    "persist_mode": "default",
}
_FREE = frozenset({"name", "description", "consumer_limits", "duplicate_window"})
"""Fields that may differ. Streams of earlier versions have no limits for consumers and a longer window, and no user may
change a stream."""


def config_differences(found: dict[str, Any], pool: str, settings: StreamSettings) -> list[str]:
    """Return every field that makes an existing stream unsuitable for the log, as `field: found X, needed Y`."""
    needed = {**_WHEN_ABSENT, **stream_config(pool, settings)}
    return [
        f"{name}: found {_shown(actual)}, needed {_shown(value)}"
        for name, value in needed.items()
        if name not in _FREE and (actual := found.get(name, _WHEN_ABSENT.get(name))) != value
    ]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


async def ensure_stream(
    connection: NatsConnection,
    pool: str,
    settings: StreamSettings | None = None,
    *,
    sync_interval: str | None = None,
    deadline_s: float = READY_DEADLINE_S,
    create: bool = True,
) -> StreamFacts:
    """Create the pool's stream, or check that the existing one is suitable; never change one.

    A cluster without a leader does not answer: this waits for one up to `deadline_s`. `create`: whether to create it.

    Raises:
        BrokerTooOldError: the broker is older than `OLDEST_BROKER`.
        NoJetStreamError: it has no JetStream for this account.
        StreamMismatchError: the stream has other settings, which the text lists; or it has lost its events.
        LogGoneError: there is none, and `create` is off.
        BrokerUnavailableError: no answer, or a refusal to create the stream.
    """
    settings = settings or StreamSettings()
    version = check_version(connection)
    api = JetStreamApi(connection, timeout_s=_POLL_TIMEOUT_S)
    answer, created = await _info_or_create(api, pool, settings, deadline_s, create=create)
    config = answer["config"]
    differences = config_differences(config, pool, settings)
    if differences:
        raise StreamMismatchError(f"stream {stream_name(pool)} is not fit to be the log: {'; '.join(differences)}")
    part = unfinished_import(answer, connection.url)
    if part is not None:
        raise StreamMismatchError(part)
    state = answer["state"]
    last = int(state["last_seq"])
    if last and not int(state["messages"]):
        raise StreamMismatchError(
            f"stream {stream_name(pool)} is empty, and its next position is {last + 1}: an import was broken off, "
            "or events are lost; import the log again, or delete the stream to begin anew"
        )
    return StreamFacts(
        stream=stream_name(pool),
        created=created,
        first_position=int(state["first_seq"]),
        last_position=last,
        replicas=int(config["num_replicas"]),
        storage=str(config["storage"]),
        compression=str(config.get("compression", "none")),
        server_version=version,
        sync_interval=sync_interval,
    )


def check_version(connection: NatsConnection) -> str:
    """Return the broker's version; raises BrokerTooOldError."""
    version = connection.client.connected_server_version
    found = f"{version.major}.{version.minor}.{version.patch}"
    if (version.major, version.minor, version.patch) < OLDEST_BROKER:
        oldest = ".".join(str(number) for number in OLDEST_BROKER)
        raise BrokerTooOldError(f"the broker at {connection.url} is nats-server {found}; {oldest} or newer is needed")
    return found


async def check_broker(connection: NatsConnection) -> None:
    """Raise BrokerTooOldError or NoJetStreamError if waiting cannot make the broker fit; a slow one is not judged."""
    check_version(connection)
    api = JetStreamApi(connection, timeout_s=_POLL_TIMEOUT_S)
    try:
        await api.call("INFO")
    except ApiNoRespondersError as error:
        raise NoJetStreamError(f"the broker at {connection.url} runs without JetStream") from error
    except ApiError as error:
        unfit = _broker_error(api, error)
        if isinstance(unfit, NoJetStreamError):
            raise unfit from error
    except LogUnavailableError:
        return


async def _info_or_create(
    api: JetStreamApi, pool: str, settings: StreamSettings, deadline_s: float, *, create: bool
) -> tuple[dict[str, Any], bool]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_s
    while True:
        try:
            return await _info_or_create_once(api, pool, settings, create=create)
        except LogUnavailableError as error:
            if loop.time() >= deadline:
                raise BrokerUnavailableError(f"{error} (waited {deadline_s:g} s)") from error
            if isinstance(error, ApiNoRespondersError) and await _lacks_jetstream(api):
                raise NoJetStreamError(f"the broker at {api.connection.url} runs without JetStream") from error
        await asyncio.sleep(_POLL_PAUSE_S)


async def _info_or_create_once(
    api: JetStreamApi, pool: str, settings: StreamSettings, *, create: bool
) -> tuple[dict[str, Any], bool]:
    try:
        found = await api.stream_info(stream_name(pool))
        if found is None and not create:
            raise LogGoneError(f"the broker at {api.connection.url} has no log of pool {pool}")
        answer = found or await api.create_stream(stream_config(pool, settings))
    except ApiError as error:
        raise _broker_error(api, error) from error
    return answer, bool(answer.get("did_create"))


def _broker_error(api: JetStreamApi, error: ApiError) -> BrokerError | LogUnavailableError:
    if error.code == SERVICE_UNAVAILABLE and error.err_code != JETSTREAM_NOT_ENABLED_FOR_ACCOUNT:
        return LogUnavailableError(str(error))
    if error.err_code in {JETSTREAM_NOT_ENABLED, JETSTREAM_NOT_ENABLED_FOR_ACCOUNT}:
        return NoJetStreamError(f"the broker at {api.connection.url} has no JetStream for this account")
    return BrokerUnavailableError(f"the broker at {api.connection.url} refuses: {error}")


async def _lacks_jetstream(api: JetStreamApi) -> bool:
    """Whether there are no responders even for `INFO`; a cluster that elects its leaders has some."""
    try:
        await api.call("INFO")
    except ApiNoRespondersError:
        return True
    except (ApiError, LogUnavailableError):
        return False
    return False
