"""Chains: single publishes that are sent together, each stored only right behind the one before it.

An expected position alone does not hold a chain together: if another writer's message takes the place of one, the
next one's expected position comes true all the same. So each message also names its predecessor, by an id that no
other send has. The broker looks at both and stores the message under one lock. Ids belong to sends and not to events:
an event that is sent again has a new one, so the broker never takes it for a duplicate.

Only for streams of one copy: of several, each copy looks at the id by itself when it applies the message, and one that
caught up from another does not know the last one.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from handlers.ports import AppendConflictError, OutcomeUnknownError
from infra.nats import wire_format
from infra.nats.appends import acknowledged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handlers.ports import NewMessage
    from infra.nats.exchange import Answer, Exchange

_PREFIX_BYTES = 9


class ChainLinks:
    """Makes the conditions of chained messages, and remembers where the last chain ends."""

    def __init__(self) -> None:
        self._prefix = secrets.token_urlsafe(_PREFIX_BYTES)
        self._count = 0
        self._last: tuple[int, str] | None = None
        """Position and id of the last message that was given conditions."""

    def conditions(self, count: int, expected_position: int, *, behind: bool) -> list[str]:
        """Return the header lines of so many messages; `behind`: the first one names the chain before it, too.

        Raises:
            AppendConflictError: `behind`, and the chain before does not end at the expected position: nothing is sent.
        """
        predecessor = ""
        if behind:
            if self._last is None or self._last[0] != expected_position:
                raise AppendConflictError(f"no chain was sent up to position {expected_position}")
            predecessor = self._last[1]
        lines: list[str] = []
        for position in range(expected_position, expected_position + count):
            self._count += 1
            own = f"{self._prefix}{self._count:x}"
            headers = {wire_format.EXPECTED_LAST_SEQUENCE: str(position), wire_format.MESSAGE_ID: own}
            if predecessor:
                headers[wire_format.EXPECTED_LAST_MESSAGE_ID] = predecessor
            lines.append(wire_format.header_lines(headers))
            predecessor = own
        self._last = expected_position + count, predecessor
        return lines


async def append_chain(
    exchange: Exchange,
    stream: str,
    messages: Sequence[NewMessage],
    links: ChainLinks,
    *,
    expected_position: int,
    behind: bool,
    timeout_s: float,
    on_stored: Callable[[int], None],
) -> int:
    """Append messages as the port says; `timeout_s`: how long to wait for the last acknowledgement.

    Raises as the port says.
    """
    stored = 0

    def encode(reply: str) -> bytes:
        limit_bytes = exchange.connection.client.max_payload
        conditions = links.conditions(len(messages), expected_position, behind=behind)
        return b"".join(
            [
                wire_format.publish_frame(message, condition, reply=reply, limit_bytes=limit_bytes)
                for message, condition in zip(messages, conditions, strict=True)
            ]
        )

    def take(answer: Answer) -> bool:
        # The broker answers in the order in which it stores. Any other answer leaves the outcome to be found out.
        nonlocal stored
        if answer.status == wire_format.NO_RESPONDERS:
            raise OutcomeUnknownError(f"no stream takes {messages[stored].subject} at {exchange.connection.url}")
        acknowledged(answer, stream, "", 1, expected_position + stored + 1)
        stored += 1
        on_stored(stored)
        return stored == len(messages)

    await exchange.each(encode, [message.subject for message in messages], timeout_s, take)
    return expected_position + stored
