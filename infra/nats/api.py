"""Requests to JetStream's API, and their answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from domain.untrusted_json import parse_json_object
from handlers.ports import LogIncompleteError, LogMissingError, LogUnavailableError, StoredMessage
from infra.nats import wire_format
from infra.nats.cancellation import await_cancellable
from infra.nats.import_mark import unfinished_import
from infra.nats.jetstream_errors import MESSAGE_NOT_FOUND, STREAM_NAME_IN_USE, STREAM_NOT_FOUND, ApiError, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.nats.connection import NatsConnection

REQUEST_TIMEOUT_S = 2.0


class ApiNoRespondersError(LogUnavailableError):
    """Nothing subscribes to the request's subject, so nothing was done: JetStream is off, or has no leader yet."""


class _Message(msgspec.Struct):
    seq: Annotated[int, msgspec.Meta(ge=0)]
    subject: str
    data: bytes = b""
    hdrs: bytes = b""


def stored_message(answer: Mapping[str, Any]) -> StoredMessage:
    """Return the message in an answer to `STREAM.MSG.GET`; raises ValueError."""
    message = msgspec.convert(answer.get("message"), _Message)
    return StoredMessage(message.seq, message.subject, message.data, wire_format.own_headers(message.hdrs))


class JetStreamApi:
    """JetStream's API over one connection."""

    def __init__(self, connection: NatsConnection, *, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self.connection = connection
        self._timeout_s = timeout_s

    async def call(self, verb: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request, such as `STREAM.INFO.<stream>`, and return the answer.

        Raises:
            ApiError: the answer is an error.
            ApiNoRespondersError: nothing subscribes to the request's subject.
            LogUnavailableError: no connection, no answer in time, or one that is not JetStream's.
        """
        payload = b"" if body is None else json.dumps(body).encode()
        return await self._ask(verb, f"$JS.API.{verb}", payload, self._timeout_s)

    async def publish(self, subject: str, body: bytes = b"", *, timeout_s: float) -> None:
        """Store a message in the stream that takes the subject. Raises as `call` does."""
        await self._ask(subject, subject, body, timeout_s)

    async def _ask(self, verb: str, subject: str, payload: bytes, timeout_s: float) -> dict[str, Any]:
        try:
            request = self.connection.client.request(subject, payload, timeout=timeout_s)
            message = await await_cancellable(request)
        except NoRespondersError:
            raise ApiNoRespondersError(f"no responders for {verb} at {self.connection.url}") from None
        except (TimeoutError, NatsError, OSError) as error:
            raise LogUnavailableError(f"no answer to {verb} from {self.connection.url}: {reason_of(error)}") from error
        try:
            answer = parse_json_object(message.data)
        except ValueError as error:
            raise self._no_answer(verb, error) from error
        if "error" in answer:
            raise ApiError(verb, answer["error"])
        return answer

    def _no_answer(self, verb: str, error: Exception) -> LogUnavailableError:
        return LogUnavailableError(f"the answer to {verb} from {self.connection.url} is not JetStream's: {error}")

    async def notify(self, verb: str) -> None:
        """Send a request without waiting for its answer; without a connection, do nothing."""
        if self.connection.is_connected:
            await self.connection.client.publish(f"$JS.API.{verb}")

    async def call_on_log(self, verb: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`call`, for requests about a stream that is known to exist: an error makes the log unavailable.

        Raises LogMissingError if it is gone.
        """
        try:
            return await self.call(verb, body)
        except ApiError as error:
            raise self._log_error(error) from error

    def _log_error(self, error: ApiError) -> LogUnavailableError:
        kind = LogMissingError if error.err_code == STREAM_NOT_FOUND else LogUnavailableError
        return kind(f"{error} at {self.connection.url}")

    async def stream_info(self, stream: str, body: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the stream's configuration and state, None if there is no such stream. Raises as `call` does."""
        try:
            return await self.call(f"STREAM.INFO.{stream}", body)
        except ApiError as error:
            if error.err_code == STREAM_NOT_FOUND:
                return None
            raise

    async def stream_state(self, stream: str) -> dict[str, Any]:
        """`first_seq`, `last_seq` and more, from the stream's leader.

        Raises LogUnavailableError, LogIncompleteError if the stream is only part of a log.
        """
        info = await self.call_on_log(f"STREAM.INFO.{stream}")
        part = unfinished_import(info, self.connection.url)
        if part is not None:
            raise LogIncompleteError(part)
        state: dict[str, Any] = info["state"]
        return state

    async def create_stream(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Create the stream; return its configuration and state, which may be another one's of the same name.

        Raises as `call` does.
        """
        name = config["name"]
        try:
            return await self.call(f"STREAM.CREATE.{name}", config)
        except ApiError as error:
            if error.err_code != STREAM_NAME_IN_USE:
                raise
        return await self.call_on_log(f"STREAM.INFO.{name}")

    async def stored(self, stream: str, request: Mapping[str, Any]) -> StoredMessage | None:
        """Return a message as the stream's leader has it, None if there is none.

        `request` says which, such as `{"seq": 7}` or `{"last_by_subj": "a.b"}`. Raises as `call` does.
        """
        verb = f"STREAM.MSG.GET.{stream}"
        try:
            answer = await self.call(verb, request)
        except ApiError as error:
            if error.err_code == MESSAGE_NOT_FOUND:
                return None
            raise
        try:
            return stored_message(answer)
        except ValueError as error:
            raise self._no_answer(verb, error) from error

    async def stored_in_log(self, stream: str, request: Mapping[str, Any]) -> StoredMessage | None:
        """`stored`, for a stream that is known to exist: an error makes the log unavailable. Raises as that call."""
        try:
            return await self.stored(stream, request)
        except ApiError as error:
            raise self._log_error(error) from error
