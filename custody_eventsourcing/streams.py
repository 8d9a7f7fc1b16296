"""The streams of an application's events, snapshots and tracking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from eventsourcing.persistence import NotSupportedError, ProgrammingError

from custody_eventsourcing.naming import Subjects
from custody_eventsourcing.publishing import Publisher
from custody_eventsourcing.reading import StreamView
from custody_eventsourcing.sequences import Sequences
from handlers.ports import LogUnavailableError
from infra.nats.jetstream_errors import CLUSTER_NO_PEERS, COPIES_NOT_SUPPORTED, ApiError
from infra.nats.stream import KEEPS_EVERYTHING, check_version

if TYPE_CHECKING:
    from custody_eventsourcing.guarded_api import GuardedApi, Link

TRACKING_HISTORY = 16
"""Messages kept on each subject of a stream without events.

Only the last one counts; earlier ones are needed to find out an unknown outcome.
"""


class StreamSpec(NamedTuple):
    """The stream that a recorder needs."""

    name: str
    create: bool = True
    """Whether to create it if it is missing."""
    replicas: int = 1
    keep: int = -1
    """How many messages to keep on each subject; -1 for all."""


class OpenStream:
    """A stream that is known to exist."""

    def __init__(self, link: Link, spec: StreamSpec) -> None:
        self.subjects = Subjects(spec.name)
        self.view = StreamView(link, spec.name)
        self.publisher = Publisher(link.exchange, self.view)
        self.sequences = Sequences(self.subjects, self.view, self.publisher)


async def open_stream(link: Link, spec: StreamSpec) -> OpenStream:
    """Create the stream, or check that the existing one is suitable; never change one.

    Raises:
        ProgrammingError: it is missing and must not be created, or has settings under which inserts are not atomic.
        NotSupportedError: the broker is a single server, and the stream is to have several copies.
        BrokerTooOldError: the broker has no atomic batches that can be relied on.
        LogUnavailableError: no answer, or the cluster has too few servers for the copies.
        AppendForbiddenError: the user may not do that.
        ApiError: the broker refuses to create it.
    """
    check_version(link.api.connection)
    wanted = stream_config(spec)
    config = await _info_or_create(link.api, spec, wanted)
    differences = [
        f"{name} is {config.get(name)!r}, not {wanted[name]!r}"
        for name in ("subjects", "allow_atomic", "allow_direct", "retention")
        if config.get(name) != wanted[name]
    ]
    if differences:
        raise ProgrammingError(f"stream {spec.name} is not suitable: {'; '.join(differences)}")
    return OpenStream(link, spec)


def stream_config(spec: StreamSpec) -> dict[str, Any]:
    """The configuration the stream is created with."""
    return {
        "name": spec.name,
        "description": "Recorded by the persistence module of Custody for the eventsourcing library",
        "subjects": [Subjects(spec.name).all],
        "num_replicas": spec.replicas,
        **KEEPS_EVERYTHING,
        "max_msgs_per_subject": spec.keep,
    }


async def _info_or_create(api: GuardedApi, spec: StreamSpec, wanted: dict[str, Any]) -> dict[str, Any]:
    answer = await api.stream_info(spec.name)
    if answer is None:
        if not spec.create:
            raise ProgrammingError(f"there is no stream {spec.name}, and CREATE_TABLE is off")
        try:
            answer = await api.create_stream(wanted)
        except ApiError as error:
            _check_copies(error, spec, api.connection.url)
            raise
    config: dict[str, Any] = answer["config"]
    return config


def _check_copies(error: ApiError, spec: StreamSpec, url: str) -> None:
    """Raise an error that says what to do if the broker cannot keep so many copies of the stream."""
    wanted = f"stream {spec.name} cannot have {spec.replicas} copies at {url}"
    if error.err_code == COPIES_NOT_SUPPORTED:
        raise NotSupportedError(
            f"{wanted}: that is a single server, not a cluster; set NATS_REPLICAS to 1, or NATS_URL to a cluster of"
            f" {spec.replicas} servers or more"
        ) from error
    if error.err_code == CLUSTER_NO_PEERS and spec.replicas > 1:
        raise LogUnavailableError(
            f"{wanted} now: {error.description}; start {spec.replicas} servers of the cluster or more, or set"
            " NATS_REPLICAS to a smaller number"
        ) from error
