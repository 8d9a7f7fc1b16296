"""Requests to JetStream's API, and what the answers mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from handlers.ports import LogUnavailableError
from infra.nats.cancellation import heeding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.nats.connection import NatsConnection

REQUEST_TIMEOUT_S = 2.0

MESSAGE_NOT_FOUND = 10037
STREAM_NOT_FOUND = 10059
STREAM_NAME_IN_USE = 10058
JETSTREAM_NOT_ENABLED = 10076
JETSTREAM_NOT_ENABLED_FOR_ACCOUNT = 10039


class NobodyAnswersError(LogUnavailableError):
    """The broker knows of no one who takes the request: certainly nothing was done."""


class ApiError(Exception):
    """JetStream answered with an error."""

    def __init__(self, verb: str, error: Mapping[str, Any]) -> None:
        self.code = int(error.get("code", 500))
        """In the manner of HTTP: 4xx the request is at fault, 5xx the broker."""
        self.err_code = int(error.get("err_code", 0))
        self.description = str(error.get("description", ""))
        super().__init__(f"{verb}: {self.description} ({self.err_code})")


class JetStreamApi:
    """JetStream's API over one connection."""

    def __init__(self, connection: NatsConnection, *, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self.connection = connection
        self._timeout_s = timeout_s

    async def call(self, verb: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request, such as `STREAM.INFO.<stream>`, and return the answer.

        Raises:
            ApiError: the answer is an error.
            NobodyAnswersError: no one takes such requests.
            LogUnavailableError: no connection, or no answer in time.
        """
        payload = b"" if body is None else json.dumps(body).encode()
        try:
            asking = self.connection.client.request(f"$JS.API.{verb}", payload, timeout=self._timeout_s)
            message = await heeding(asking)
        except NoRespondersError:
            raise NobodyAnswersError(f"nobody answers {verb} at {self.connection.url}") from None
        except (TimeoutError, NatsError, OSError) as error:
            reason = str(error).removeprefix("nats: ") or type(error).__name__
            raise LogUnavailableError(f"no answer to {verb} from {self.connection.url}: {reason}") from error
        answer: dict[str, Any] = json.loads(message.data)
        if "error" in answer:
            raise ApiError(verb, answer["error"])
        return answer

    async def notify(self, verb: str) -> None:
        """Send a request whose answer does not matter; nothing happens without a connection."""
        if self.connection.is_connected:
            await self.connection.client.publish(f"$JS.API.{verb}")

    async def log_call(self, verb: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`call`, for requests about a stream that is known to be there: an error makes the log unavailable."""
        try:
            return await self.call(verb, body)
        except ApiError as error:
            raise LogUnavailableError(str(error)) from error

    async def stream_state(self, stream: str) -> dict[str, Any]:
        """`first_seq`, `last_seq` and more, from the stream's leader. Raises LogUnavailableError."""
        state: dict[str, Any] = (await self.log_call(f"STREAM.INFO.{stream}"))["state"]
        return state
