"""Requests whose frames are encoded in advance, and their answers, over one inbox.

Answers are handed over as frames. Through the library, an answer would wait for two more turns of the event loop, each
of which may be full of commands.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, NamedTuple

from nats.errors import Error as NatsError

from handlers.ports import AppendForbiddenError, LogError, LogUnavailableError, OutcomeUnknownError
from infra.nats import wire_format
from infra.nats.broker_errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nats.aio.subscription import Subscription

    from infra.nats.connection import NatsConnection, PermissionViolation
    from infra.nats.library_client import Frame


class Answer(NamedTuple):
    """One answer: its header block, not decoded, and its body."""

    head: bytes
    body: bytes

    @property
    def status(self) -> str | None:
        """The broker's status, such as 404; None for a message with content."""
        return wire_format.status_of(self.head)


class _Request:
    """A request in flight."""

    def __init__(self, subjects: Sequence[str], take: Callable[[Answer], bool]) -> None:
        """`take` is called with each answer, and returns whether it was the last one; it may raise a LogError."""
        self.subjects = subjects
        self._take = take
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(self, answer: Answer) -> None:
        if self.done.done():
            return
        try:
            last = self._take(answer)
        except LogError as error:
            self.fail(error)
        else:
            if last:
                self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def on_timeout(self, timeout_s: float) -> None:
        self.fail(OutcomeUnknownError(f"no answer within {timeout_s:g} s"))


class Exchange:
    """Sends frames and waits for the answers; made by `open`."""

    def __init__(self, connection: NatsConnection) -> None:
        self.connection = connection
        self._inbox = connection.client.new_inbox()
        self._numbers = itertools.count(1)
        self._requests: dict[str, _Request] = {}
        self._subscription: Subscription | None = None
        self._stop_listening = [
            connection.disconnected.add(self._on_disconnected),
            connection.violated.add(self._on_violation),
        ]

    @classmethod
    async def open(cls, connection: NatsConnection) -> Exchange:
        """Subscribe to the inbox, until `close` or until the connection is closed.

        Raises:
            LogUnavailableError: there is no connection.
        """
        if not connection.is_connected:
            raise LogUnavailableError(f"no connection to {connection.url}")
        exchange = cls(connection)
        exchange._subscription = await connection.client.subscribe_frames(f"{exchange._inbox}.*", exchange._on_answers)
        return exchange

    async def close(self) -> None:
        """End the subscription; the outcome of requests in flight is unknown. Closing twice is harmless."""
        for stop in self._stop_listening:
            stop()
        self._fail_all("closed before an answer came")
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self.connection.client.is_closed:
            await subscription.unsubscribe()

    async def one(self, encode: Callable[[str], bytes], subjects: Sequence[str], timeout_s: float) -> Answer:
        """Send the frames that `encode` makes for a reply subject; return the answer.

        `subjects` are those that the frames publish to.

        Raises:
            LogUnavailableError: there is no connection; nothing was sent.
            OutcomeUnknownError: no answer in time, or the connection was lost.
            AppendForbiddenError: the broker does not allow this user to publish there.
        """
        answers: list[Answer] = []

        def take(answer: Answer) -> bool:
            answers.append(answer)
            return True

        await self.each(encode, subjects, timeout_s, take)
        return answers[0]

    async def many(self, encode: Callable[[str], bytes], subject: str, timeout_s: float) -> list[Answer]:
        """Send one request; return all answers, of which the last has a status. Raises as `one` does."""
        answers: list[Answer] = []

        def take(answer: Answer) -> bool:
            answers.append(answer)
            return answer.status is not None

        await self.each(encode, [subject], timeout_s, take)
        return answers

    async def each(
        self, encode: Callable[[str], bytes], subjects: Sequence[str], timeout_s: float, take: Callable[[Answer], bool]
    ) -> None:
        """Send frames, and hand each answer over as it comes, until `take` says that it was the last one.

        Raises as `one` does, and the LogError that `take` raises.
        """
        reply = f"{self._inbox}.{next(self._numbers)}"
        frames = encode(reply)
        request = self._requests[reply] = _Request(subjects, take)
        timer = asyncio.get_running_loop().call_later(timeout_s, request.on_timeout, timeout_s)
        try:
            await self.connection.send(frames)
            await request.done
        except (BrokerUnavailableError, NatsError) as error:
            raise LogUnavailableError(str(error)) from error
        finally:
            timer.cancel()
            del self._requests[reply]

    def _on_answers(self, frames: Sequence[Frame]) -> None:
        for subject, _, head, body in frames:
            request = self._requests.get(subject)
            if request is not None:
                request.answer(Answer(head, body))

    def _on_disconnected(self) -> None:
        self._fail_all("the connection was lost before an answer came")

    def _on_violation(self, violation: PermissionViolation) -> None:
        for request in tuple(self._requests.values()):
            violated = wire_format.violating_subjects(request.subjects, violation.subject)
            if violation.operation == "publish" and violated:
                request.fail(AppendForbiddenError(f"the broker does not allow a publish to {violation.subject}"))

    def _fail_all(self, reason: str) -> None:
        for request in tuple(self._requests.values()):
            request.fail(OutcomeUnknownError(reason))
