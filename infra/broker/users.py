"""Who may do what on the broker.

The service's answers go out with the service's rights to a subject the caller chose. So a replica holds two
connections: `writer` may append and read but answers nobody, `responder` may answer and listen but append nothing.
Nobody here may delete, purge or update a stream: the stream's own `deny_delete` and `deny_purge` do not stop that.
`infra/broker/custody.conf` says the same for a broker of your own; a test compares the two.
"""

from dataclasses import dataclass

COMMANDS = ("custody.*.agent.>", "custody.*.ops.>", "custody.*.query.>")
"""The subjects on which every pool takes commands and queries."""

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
"""What reading a stream takes. Without `$JS.FC.>` a push delivery stops part-way.

Left out are `$JS.API.DIRECT.GET.>`, `$JS.API.CONSUMER.MSG.NEXT.>` and `$JS.ACK.>`: the broker sends what they ask for
to the reply subject with rights of its own, and takes it for a request if that is one of its API. So a direct get of a
message that is not there, with `$JS.API.STREAM.DELETE.<stream>` for its reply subject, deletes the stream.
"""


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """A user of the broker and the subjects it may publish to and subscribe to; anything else is refused."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


WRITER = BrokerUser(
    name="writer",
    # Creating a stream that exists with another configuration is refused by the broker, so CREATE is no UPDATE.
    publish=("custody.*.evt.>", "$JS.API.STREAM.CREATE.*", *JETSTREAM_READ, "$KV.>", "$O.>"),
    subscribe=(INBOX,),
)
"""The connection that appends events and reads the log. It has no right to answer anybody."""

RESPONDER = BrokerUser(name="responder", publish=(INBOX,), subscribe=(*COMMANDS, INBOX))
"""The connection that takes commands and answers. No reply subject makes it write into a log."""

OPERATOR = BrokerUser(
    name="operator",
    publish=(*COMMANDS, *JETSTREAM_READ),
    subscribe=("custody.*.feed.>", INBOX),
)
"""People, the command line, dashboards and audits: any command as anyone, every read, no event."""

ADMIN = BrokerUser(name="admin", publish=(">",), subscribe=(">",))
"""Everything, deleting logs included. Never made unless asked for."""

SERVICE_USERS = (WRITER, RESPONDER, OPERATOR)
"""The users every embedded broker has."""


def projector_user(pool: str, *, name: str = "projector") -> BrokerUser:
    """The rights of `custody project` for one pool: to read its log, and to keep its live views in their bucket.

    For tables it needs no `$KV.` and no right to create a stream.
    """
    streams = (f"CUSTODY_{pool}", f"KV_CUSTODY_VIEWS_{pool}")
    return BrokerUser(
        name=name,
        publish=(
            *(f"$JS.API.STREAM.INFO.{each}" for each in (*streams, f"KV_CUSTODY_SNAPSHOTS_{pool}")),
            *(f"$JS.API.STREAM.MSG.GET.{each}" for each in (*streams, f"KV_CUSTODY_SNAPSHOTS_{pool}")),
            *(f"$JS.API.CONSUMER.CREATE.{each}" for each in streams),
            *(f"$JS.API.CONSUMER.CREATE.{each}.>" for each in streams),
            *(f"$JS.API.CONSUMER.DELETE.{each}.*" for each in streams),
            "$JS.FC.>",
            f"$JS.API.STREAM.CREATE.KV_CUSTODY_VIEWS_{pool}",
            f"$KV.CUSTODY_VIEWS_{pool}.>",
        ),
        subscribe=(INBOX,),
    )


def agent_user(pool: str, agent: str, *, name: str | None = None) -> BrokerUser:
    """The rights of one agent: to speak as itself in its pool and to hear the answers.

    Its client connects with `inbox_prefix="_INBOX.<agent>"`. The user's name is `agent-<agent>` unless given.
    """
    return BrokerUser(
        name=name or f"agent-{agent}",
        publish=(f"custody.{pool}.agent.{agent}.>",),
        subscribe=(f"{INBOX.removesuffix('>')}{agent}.>",),
    )
