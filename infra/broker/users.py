"""The users of the broker and their permissions.

The service sends a reply, with the service's permissions, to a subject that the caller chose. So a replica has two
connections: `writer` may append and read but not reply, `responder` may reply and listen but not append. None of these
users may delete, purge or update a stream: the stream's own `deny_delete` and `deny_purge` do not prevent that. Each
hears answers in inboxes of its own, named for it: `_INBOX.<user>.>`.
`infra/broker/custody.conf` has the same permissions for a broker of your own; a test compares the two.
"""

from dataclasses import dataclass, replace
from typing import Any

from infra.nats.buckets import snapshots_bucket, views_bucket
from infra.nats.stream import stream_name

COMMANDS = ("custody.*.agent.>", "custody.*.ops.>", "custody.*.query.>")
"""The subjects on which every pool takes commands and queries."""

ECHO = "custody.*.echo"
"""The subjects on which every pool's service sends itself requests, to see whether agents could reach it."""

INBOXES = "_INBOX.>"
"""Every inbox. A user that may listen there hears the answers to all others, and can have answers of the broker sent to
any of them."""

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
    not_publish: tuple[str, ...] = ()
    """Subjects that it may not publish to although `publish` has them."""
    not_subscribe: tuple[str, ...] = ()
    """Subjects that it does not receive from although `subscribe` has them."""

    def permissions(self) -> dict[str, Any]:
        """Return the permissions as the server's configuration has them."""
        rights = {"publish": (self.publish, self.not_publish), "subscribe": (self.subscribe, self.not_subscribe)}
        return {
            name: {"allow": list(allow), "deny": list(deny)} if deny else list(allow)
            for name, (allow, deny) in rights.items()
        }


def inbox(user: str) -> str:
    """Return where a user hears the answers to its requests. No two users may have the same one, or hear another's."""
    return f"_INBOX.{user}.>"


WRITER = BrokerUser(
    name="writer",
    # CREATE cannot update: the broker refuses it for a stream that exists with another configuration.
    publish=("custody.*.evt.>", ECHO, "$JS.API.STREAM.CREATE.*", *JETSTREAM_READ, "$KV.>", "$O.>"),
    subscribe=(inbox("writer"),),
)
"""The connection that appends events and reads the log; it may not reply to requests."""

RESPONDER = BrokerUser(
    name="responder",
    publish=(INBOXES,),
    subscribe=(*COMMANDS, ECHO, inbox("responder")),
    not_publish=(inbox("writer"), inbox("responder")),
)
"""The connection that takes commands and replies; no reply subject can make it write to a log, or answer the service's
own requests."""

OPERATOR = BrokerUser(
    name="operator",
    publish=(*COMMANDS, *JETSTREAM_READ),
    subscribe=("custody.*.feed.>", INBOXES),
    not_subscribe=(inbox("writer"), inbox("responder"), inbox("projector")),
)
"""People, the command line, dashboards and audits: any command as any actor, every read, no event.

It hears all inboxes but those of the service and the projector, because its clients may set no inbox prefix. What it
hears of agents it could ask for as well: it may act as any of them.
"""

STRICT_OPERATOR = replace(OPERATOR, subscribe=("custody.*.feed.>", inbox("operator")), not_subscribe=())
"""An `operator` whose clients all set the inbox prefix `_INBOX.operator`: it hears no others."""

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
        subscribe=(inbox(name),),
    )


def agent_user(pool: str, agent: str, *, name: str | None = None) -> BrokerUser:
    """Return the user of one agent: it may send requests as this agent in its pool, and receive the replies.

    The user's name is `agent-<agent>` unless given. As every user's, its client connects with the inbox prefix
    `_INBOX.<name>`.
    """
    name = name or f"agent-{agent}"
    return BrokerUser(name=name, publish=(f"custody.{pool}.agent.{agent}.>",), subscribe=(inbox(name),))
