"""Sends answers to reply subjects, in the form of the wire contract."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from domain import limits
from handlers.service import reply_bodies
from handlers.writer.jobs import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.refusal import Refusal
    from handlers.telemetry import ProcessFigures
    from handlers.writer.jobs import Answer

_LOG = logging.getLogger(__name__)


class ReplySender:
    """Sends answers through `respond(reply subject, body, headers)`; an empty reply subject gets nothing."""

    def __init__(
        self, respond: Callable[[str, bytes, Mapping[str, str]], None], figures: ProcessFigures | None = None
    ) -> None:
        """`figures` counts the error replies; None: nothing does."""
        self._respond = respond
        self._figures = figures

    def send(self, reply: str, answer: Answer) -> None:
        """Send an answer, as a success or as an error reply."""
        if answer.refusal is not None:
            self.refuse(reply, answer.refusal)
        elif reply:
            self._send_success(reply, reply_bodies.success(answer.position, answer.records, answer.result or {}))

    def refuse(self, reply: str, refusal: Refusal) -> None:
        """Send an error reply."""
        if self._figures is not None:
            self._figures.refusals[refusal.code] += 1
        if reply:
            body, headers = reply_bodies.failure(refusal)
            self._respond(reply, body, headers)

    def _send_success(self, reply: str, body: bytes) -> None:
        if len(body) > limits.MAX_REPLY_BYTES:
            _LOG.error("a reply of %d bytes was too large to send", len(body))
            self.refuse(reply, unavailable("the command was carried out, but its reply is too large to send"))
            return
        self._respond(reply, body, {})
