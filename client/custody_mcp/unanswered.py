"""Commands that had no answer: the same call again is the same command, so it is carried out once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from custody_client import NoAnswerError
from custody_client.clock import steady_s

KEPT_S = 600.0
"""After so long the same call is a new wish: a pause that was asked for, lifted, and is asked for again."""
MAX_KEPT = 100


class Unanswered:
    """The ids of commands whose outcome is not known, by what was called."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[str, float]] = {}

    @contextmanager
    def command_id(self, verb: str, fields: Mapping[str, Any]) -> Iterator[str]:
        """Yield the id to send a call under: that of the same call before, if that had no answer, else a new one.

        It is kept if this call has no answer either, or is not waited for.
        """
        call = msgspec.json.encode([verb, fields], order="sorted")
        self._forget_old()
        command_id, first_at = self._kept.pop(call, (f"mcp-{secrets.token_hex(12)}", steady_s()))
        try:
            yield command_id
        except (NoAnswerError, asyncio.CancelledError):
            self._kept[call] = (command_id, first_at)
            raise

    def _forget_old(self) -> None:
        now = steady_s()
        self._kept = {call: kept for call, kept in self._kept.items() if now - kept[1] < KEPT_S}
        while len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
