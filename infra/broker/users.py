"""The users of the broker and their permissions.

The service sends a reply, with the service's permissions, to a subject that the caller chose. So a replica has two
connections: `writer` may append and read but not reply, `responder` may reply and listen but not append. None of these
users may delete, purge or update a stream: the stream's own `deny_delete` and `deny_purge` do not prevent that.
`infra/broker/custody.conf` has the same permissions for a broker of your own; a test compares the two.
"""

from dataclasses import dataclass

from infra.nats.buckets import snapshots_bucket, views_bucket
from infra.nats.stream import stream_name

COMMANDS = ("custody.*.agent.>", "custody.*.ops.>", "custody.*.query.>")
"""The subjects on which every pool takes commands and queries."""

ECHO = "custody.*.echo"
"""The subjects on which every pool's service sends itself requests, to see whether agents could reach it."""

INBOX = "_INBOX.>"

JETSTREAM_READ = (
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.DELETE.>",
    "$JS.API.CONSUMER.INFO.>",
    "$JS.API.CONSUMER.LIST.*",
    "$JS.API.CONSUMER.NAMES.*",
    "$JS.FC.>",
)
"""The subjects that reading a stream requires. Without `$JS.FC.>` a push delivery stops part-way.

Left out are `$JS.API.DIRECT.GET.>`, `$JS.API.CONSUMER.MSG.NEXT.>` and `$JS.ACK.>`: the broker sends their replies with
permissions of its own, and handles a reply as a request if its subject is one of the API. So a direct get of a missing
message, with the reply subject `$JS.API.STREAM.DELETE.<stream>`, deletes the stream.
"""


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """A user of the broker, with the subjects that it may publish to and subscribe to; all others are refused."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


WRITER = BrokerUser(
    name="writer",
    # CREATE cannot update: the broker refuses it for a stream that exists with another configuration.
    publish=("custody.*.evt.>", ECHO, "$JS.API.STREAM.CREATE.*", *JETSTREAM_READ, "$KV.>", "$O.>"),
    subscribe=(INBOX,),
)
"""The connection that appends events and reads the log; it may not reply to requests."""

RESPONDER = BrokerUser(name="responder", publish=(INBOX,), subscribe=(*COMMANDS, ECHO, INBOX))
"""The connection that takes commands and replies; no reply subject can make it write to a log."""

OPERATOR = BrokerUser(
    name="operator",
    publish=(*COMMANDS, *JETSTREAM_READ),
    subscribe=("custody.*.feed.>", INBOX),
)
"""People, the command line, dashboards and audits: any command as any actor, every read, no event."""

ADMIN = BrokerUser(name="admin", publish=(">",), subscribe=(">",))
"""Every permission, deleting logs included; only created on request."""

SERVICE_USERS = (WRITER, RESPONDER, OPERATOR)
"""The users of every embedded broker."""


def projector_user(pool: str, *, name: str = "projector") -> BrokerUser:
    """Return the user of `custody project` for one pool: it may read the log, and write the live views' bucket.

    For tables, neither `$KV.` nor the right to create a stream is needed.
    """
    views, snapshots = views_bucket(pool), snapshots_bucket(pool)
    streams = (stream_name(pool), views.stream)
    return BrokerUser(
        name=name,
        publish=(
            *(f"$JS.API.STREAM.INFO.{each}" for each in (*streams, snapshots.stream)),
            *(f"$JS.API.STREAM.MSG.GET.{each}" for each in (*streams, snapshots.stream)),
            *(f"$JS.API.CONSUMER.CREATE.{each}" for each in streams),
            *(f"$JS.API.CONSUMER.CREATE.{each}.>" for each in streams),
            *(f"$JS.API.CONSUMER.DELETE.{each}.*" for each in streams),
            "$JS.FC.>",
            f"$JS.API.STREAM.CREATE.{views.stream}",
            f"{views.prefix}>",
        ),
        subscribe=(INBOX,),
    )


def agent_user(pool: str, agent: str, *, name: str | None = None) -> BrokerUser:
    """Return the user of one agent: it may send requests as this agent in its pool, and receive the replies.

    Its client connects with `inbox_prefix="_INBOX.<agent>"`. The user's name is `agent-<agent>` unless given.
    """
    return BrokerUser(
        name=name or f"agent-{agent}",
        publish=(f"custody.{pool}.agent.{agent}.>",),
        subscribe=(f"{INBOX.removesuffix('>')}{agent}.>",),
    )
