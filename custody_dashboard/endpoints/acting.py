"""`POST /api/act`: a person's command to the pool, sent as every operator's is and recorded under their name."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from custody_dashboard.web.api_error import ApiError, bad_request, busy, unavailable
from custody_dashboard.web.json_reply import JsonReply
from custody_dashboard.web.request_body import json_body
from infra.cli.terminal.refusal_text import refusal_text
from infra.cli.watching.acts import ActError, command_of, said
from infra.nats.contract_client import CustodyRefusedError, NoReplyError, NoServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from starlette.requests import Request

    from custody_dashboard.web.people import Person

    class Sender(Protocol):
        """Sends commands to the pool's service."""

        async def send(self, subject_tail: str, body: Mapping[str, Any], *, actor: str | None) -> dict[str, Any]:
            """Return the reply. Raises CustodyError, BrokerUnavailableError."""
            ...


CSRF_HEADER = "X-CSRF-Token"
MAX_ACTING = 32
"""Commands that are under way at once."""


class Acting:
    """Handles what people do."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._under_way = 0

    async def act(self, request: Request, person: Person, why_not: str | None) -> JsonReply:
        """Send the command of a request and answer with what came of it. `why_not`: why nothing may be done.

        Raises ApiError.
        """
        offered = request.headers.get(CSRF_HEADER, "")
        if not secrets.compare_digest(offered.encode("latin-1", "replace"), person.csrf.encode()):
            raise ApiError(403, "csrf", f"the header {CSRF_HEADER} is missing or outdated; /api/session tells it")
        if why_not is not None:
            raise ApiError(403, "not_allowed", why_not)
        document = await json_body(request)
        reason = document.get("reason")
        if not isinstance(reason, str) or not reason.strip():
            raise bad_request("reason should say why, for the record: everything that is done here needs one")
        try:
            verb, body = command_of(document.pop("verb", None), document, "dashboard")
        except ActError as error:
            raise bad_request(str(error)) from None
        if self._under_way >= MAX_ACTING:
            raise busy("too many commands are under way; try again")
        self._under_way += 1
        try:
            reply = await self._sender.send(f"ops.{verb}", body, actor=person.name or None)
        except CustodyRefusedError as refused:
            words = refusal_text(refused.code, refused.message, refused.details, verb)
            return JsonReply({"ok": False, "error": {"code": refused.code, "message": words}}, 409)
        except NoServiceError as error:
            raise unavailable(str(error)) from None
        except NoReplyError as error:
            command_id = body["command_id"]
            raise ApiError(
                504, "unknown_outcome", f"{error}: send it again with command_id {command_id} to find out"
            ) from None
        finally:
            self._under_way -= 1
        return JsonReply({**reply, "said": said(verb, body, reply), "command_id": body["command_id"]})
