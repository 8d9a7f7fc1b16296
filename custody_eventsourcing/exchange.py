"""Questions to the broker and the answers to them, over one inbox."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from nats.errors import Error as NatsError

from handlers.ports import AppendRejectedError, LogUnavailableError, OutcomeUnknownError
from infra.nats import BrokerUnavailableError, wire_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nats.aio.msg import Msg

    from infra.nats import NatsConnection, PermissionViolation

NO_RESPONDERS = "503"
_STATUS = "Status"


class _Question:
    """One question, and what was answered so far."""

    def __init__(self, subjects: Sequence[str], *, many: bool) -> None:
        self.subjects = subjects
        self._many = many
        self._answers: list[Msg] = []
        self.done: asyncio.Future[list[Msg]] = asyncio.get_running_loop().create_future()

    def answer(self, message: Msg) -> None:
        self._answers.append(message)
        if not self.done.done() and not (self._many and status(message) is None):
            self.done.set_result(self._answers)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Exchange:
    """Sends frames and waits for what comes back; made by `open`."""

    def __init__(self, connection: NatsConnection) -> None:
        self.connection = connection
        self._inbox = connection.client.new_inbox()
        self._numbers = itertools.count(1)
        self._questions: dict[str, _Question] = {}
        connection.disconnected.add(self._on_disconnected)
        connection.violated.add(self._on_violation)

    @classmethod
    async def open(cls, connection: NatsConnection) -> Exchange:
        """Listen for answers on this connection until it is closed."""
        exchange = cls(connection)
        await connection.client.subscribe(
            f"{exchange._inbox}.*", cb=exchange._on_answer, pending_msgs_limit=0, pending_bytes_limit=0
        )
        return exchange

    async def one(self, encode: Callable[[str], bytes], subjects: Sequence[str], timeout_s: float) -> Msg:
        """Send the frames that `encode` makes for a reply subject; return the answer.

        Raises:
            LogUnavailableError: there is no connection; nothing was sent.
            OutcomeUnknownError: no answer in time, or the connection went.
            AppendRejectedError: the broker does not allow this user to publish there.
        """
        return (await self._ask(encode, subjects, timeout_s, many=False))[0]

    async def many(self, encode: Callable[[str], bytes], subject: str, timeout_s: float) -> list[Msg]:
        """Send one request; return all answers, of which the last has a status. Raises as `one` does."""
        return await self._ask(encode, [subject], timeout_s, many=True)

    async def _ask(
        self, encode: Callable[[str], bytes], subjects: Sequence[str], timeout_s: float, *, many: bool
    ) -> list[Msg]:
        reply = f"{self._inbox}.{next(self._numbers)}"
        frames = encode(reply)
        question = self._questions[reply] = _Question(subjects, many=many)
        try:
            await self.connection.send(frames)
            async with asyncio.timeout(timeout_s):
                return await question.done
        except TimeoutError:
            raise OutcomeUnknownError(f"no answer within {timeout_s:g} s") from None
        except (BrokerUnavailableError, NatsError) as error:
            raise LogUnavailableError(str(error)) from error
        finally:
            del self._questions[reply]

    async def _on_answer(self, message: Msg) -> None:
        question = self._questions.get(message.subject)
        if question is not None:
            question.answer(message)

    def _on_disconnected(self) -> None:
        for question in tuple(self._questions.values()):
            question.fail(OutcomeUnknownError("the connection went while a request was on its way"))

    def _on_violation(self, violation: PermissionViolation) -> None:
        for question in tuple(self._questions.values()):
            violated = wire_format.violating_subjects(question.subjects, violation.subject)
            if violation.operation == "publish" and violated:
                question.fail(AppendRejectedError(f"the broker does not allow a publish to {violation.subject}"))


def status(message: Msg) -> str | None:
    """The status that a message without content carries, such as 404; None for any other."""
    return message.headers.get(_STATUS) if message.headers else None
