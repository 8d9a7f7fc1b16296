"""Every verb and view of the wire contract, with the model of its request and what it answers."""

from __future__ import annotations

from typing import Final, NamedTuple

from docs.generator.replies.of_agents import AGENT_REPLIES
from docs.generator.replies.of_operators import OPS_REPLIES
from docs.generator.replies.of_queries import QUERY_REPLIES
from docs.generator.replies.reply import EVERYWHERE, Reply
from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.command import Command
from domain.commands.operator_commands import OPS_COMMANDS
from domain.errors import RefusalCode
from projections.queries.questions import QUERIES, Query

REPLIES: Final = {"agent": AGENT_REPLIES, "ops": OPS_REPLIES, "query": QUERY_REPLIES}


class Verb(NamedTuple):
    """One verb of an agent or an operator, or one view."""

    kind: str
    """`agent`, `ops` or `query`: the token of the subject after the pool."""
    name: str
    model: type[Command | Query]
    """The request's body."""
    reply: Reply

    @property
    def full_name(self) -> str:
        """Its name among all, such as `agent.claim`."""
        return f"{self.kind}.{self.name}"

    @property
    def errors(self) -> tuple[RefusalCode, ...]:
        """Every code that it can be refused with, in the order in which they are looked for."""
        codes = {*EVERYWHERE, *self.reply.errors}
        if self.kind == "query":
            codes -= {RefusalCode.COMMAND_CONFLICT, RefusalCode.NOT_WRITER}
        return tuple(code for code in RefusalCode if code in codes)


VERBS: Final = tuple(
    Verb(kind, name, model, REPLIES[kind][name])
    for kind, models in (("agent", AGENT_COMMANDS), ("ops", OPS_COMMANDS), ("query", QUERIES))
    for name, model in models.items()
)
"""All of them, in the order of the pages."""
BY_NAME: Final = {verb.full_name: verb for verb in VERBS}
