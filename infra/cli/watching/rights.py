"""Whether one may send commands of operators with one's own credentials: asked of the broker, with a harmless one."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from infra.nats.contract_client import CustodyClient, CustodyError

if TYPE_CHECKING:
    from infra.nats.connection import NatsConnection, PermissionViolation

TIMEOUT_S = 3.0


async def may_operate(connection: NatsConnection, pool: str) -> bool:
    """Return whether the broker lets this user send commands of operators.

    The command is a dry run, about a label that no task has: it records nothing. The broker says what it refuses only
    beside the request, which then gets no answer.
    """
    subject = f"custody.{pool}.ops.cancel".lower()
    refused = asyncio.Event()

    def note(violation: PermissionViolation) -> None:
        if violation.operation == "publish" and violation.subject.lower() == subject:
            refused.set()

    forget = connection.violated.add(note)
    body = {"label": f"rights-{secrets.token_hex(8)}", "dry_run": True}
    asking = asyncio.ensure_future(
        CustodyClient(connection.client, pool).request("ops.cancel", body, timeout=TIMEOUT_S)
    )
    refusing = asyncio.ensure_future(refused.wait())
    try:
        await asyncio.wait((asking, refusing), return_when=asyncio.FIRST_COMPLETED)
        return not refused.is_set()
    finally:
        forget()
        for task in (asking, refusing):
            task.cancel()
        for found in await asyncio.gather(asking, refusing, return_exceptions=True):
            if isinstance(found, Exception) and not isinstance(found, CustodyError):
                raise found
