"""What a person does from top: sent as every operator's command, and on record under their name."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from infra.cli.terminal.refusal_text import refusal_text
from infra.cli.watching.acts import ActError, command_of, said
from infra.cli.watching.watched_pool import UnwatchedError
from infra.nats.contract_client import CustodyRefusedError, NoReplyError, NoServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cli.watching.watched_pool import WatchedPool

PROGRAM = "top"


class Came(Enum):
    """What came of a command."""

    DONE = "done"
    REFUSED = "refused"
    """Nothing was recorded."""
    UNKNOWN = "unknown"
    """No reply came; the same command again finds out."""


class Outcome(NamedTuple):
    """What came of a command, in words."""

    came: Came
    text: str
    command_id: str | None = None
    """Of one whose outcome is unknown."""


class Acting:
    """Sends what a person does."""

    def __init__(self, watch: WatchedPool, person: str | None, *, read_only: bool) -> None:
        """`person`: under whose name it is recorded; None: no name."""
        self._watch = watch
        self.person = person
        self._read_only = read_only

    @property
    def why_not(self) -> str | None:
        """Why nothing may be done now; None if it may."""
        if self._read_only:
            return "top was started with --read-only"
        if self._watch.mode != "live":
            return "what is shown is not live"
        if self._watch.may_operate is None:
            return "it is not known yet whether the broker allows commands"
        return None if self._watch.may_operate else "the broker does not let this user send commands of operators"

    @property
    def only_looks(self) -> bool:
        """Whether nothing may be done, however the pool fares."""
        return self._read_only or self._watch.may_operate is False

    async def act(self, verb: str, fields: Mapping[str, Any]) -> Outcome:
        """Send a command and return what came of it."""
        try:
            _, body = command_of(verb, fields, PROGRAM)
        except ActError as error:
            return Outcome(Came.REFUSED, str(error))
        try:
            reply = await self._watch.send(f"ops.{verb}", body, actor=self.person)
        except CustodyRefusedError as refused:
            return Outcome(Came.REFUSED, refusal_text(refused.code, refused.message, refused.details, verb))
        except (UnwatchedError, NoServiceError) as error:
            return Outcome(Came.REFUSED, str(error))
        except NoReplyError as error:
            return Outcome(Came.UNKNOWN, f"{error}: whether it was done is not known", body["command_id"])
        return Outcome(Came.DONE, said(verb, body, reply))
