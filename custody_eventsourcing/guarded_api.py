"""JetStream's API for one connection, with an error for a request that the broker does not allow.

The broker reports a refusal on the connection, beside the request, which gets no answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from handlers.ports import AppendForbiddenError
from infra.nats import wire_format
from infra.nats.api import JetStreamApi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.nats.connection import NatsConnection, PermissionViolation
    from infra.nats.exchange import Exchange


class GuardedApi(JetStreamApi):
    """`JetStreamApi` whose calls fail at once where the user lacks a right. Make one for each connection."""

    def __init__(self, connection: NatsConnection) -> None:
        """Make it before the connection's first subscription: a refusal of that is reported once."""
        super().__init__(connection)
        self._in_flight: dict[asyncio.Timeout, str] = {}
        """Makes a call fail, and its subject."""
        self._refused_inbox: str | None = None
        connection.violated.add(self._on_violation)
        connection.disconnected.add(self._on_disconnected)

    async def call(self, verb: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request, such as `STREAM.INFO.<stream>`, and return the answer.

        Raises what `JetStreamApi.call` does, and:
            AppendForbiddenError: the user may not publish to the request's subject, or not subscribe to its inboxes.
        """
        subject = f"$JS.API.{verb}"
        self._check_inbox()
        refused = asyncio.timeout(None)
        try:
            async with refused:
                self._in_flight[refused] = subject
                return await super().call(verb, body)
        except TimeoutError:
            if not refused.expired():
                raise
            self._check_inbox()
            raise AppendForbiddenError(f"the broker does not allow a publish to {subject}") from None
        finally:
            self._in_flight.pop(refused, None)

    def _check_inbox(self) -> None:
        if self._refused_inbox is not None:
            raise AppendForbiddenError(
                f"the broker does not allow a subscription to {self._refused_inbox},"
                " where answers go (NATS_INBOX_PREFIX)"
            )

    def _on_violation(self, violation: PermissionViolation) -> None:
        # All subscriptions on this connection are to inboxes, with one prefix.
        inbox = violation.operation == "subscription"
        if inbox:
            self._refused_inbox = violation.subject
        now = asyncio.get_running_loop().time()
        for call, subject in tuple(self._in_flight.items()):
            if inbox or wire_format.violating_subjects([subject], violation.subject):
                del self._in_flight[call]
                call.reschedule(now)

    def _on_disconnected(self) -> None:
        # The next connection subscribes anew.
        self._refused_inbox = None


class Link(NamedTuple):
    """A connection's two ways to send requests."""

    exchange: Exchange
    """For frames that are encoded in advance: appends and direct gets."""
    api: GuardedApi
