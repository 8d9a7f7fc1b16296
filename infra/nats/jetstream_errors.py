"""JetStream's errors: the codes that Custody distinguishes, and what a refused append means."""

from __future__ import annotations

from typing import Any

from nats.errors import OutboundBufferLimitError

from handlers.ports import (
    AppendConflictError,
    AppendRefusedError,
    LogError,
    LogUnavailableError,
    OutcomeUnknownError,
)

CLUSTER_NO_PEERS = 10005
"""Too few nodes of the cluster are there to take the stream's copies."""
CLUSTER_NOT_AVAILABLE = 10008
"""The cluster has no leader."""
CLUSTER_NOT_LEADER = 10009
"""The node no longer leads the cluster."""
TOO_MANY_CONSUMERS = 10026
"""The stream, or the account, has as many consumers as it may have."""
MESSAGE_NOT_FOUND = 10037
"""The stream has no message at the position, or on the subject."""
JETSTREAM_NOT_ENABLED_FOR_ACCOUNT = 10039
"""The user's account may not use JetStream."""
STREAM_NAME_IN_USE = 10058
"""A stream has the name, with another configuration than the requested one."""
STREAM_NOT_FOUND = 10059
"""No stream has the name."""
WRONG_LAST_MESSAGE_ID = 10070
"""The stream does not end with the expected message."""
WRONG_LAST_SEQUENCE = 10071
"""The stream, or the subject, does not end at the expected sequence."""
COPIES_NOT_SUPPORTED = 10074
"""A single server cannot keep several copies of a stream."""
JETSTREAM_NOT_ENABLED = 10076
"""The broker runs without JetStream."""
STORE_FAILED = 10077
"""The store failed in the middle of a write."""
WRONG_LAST_SEQUENCE_CONSTANT = 10164
"""As `WRONG_LAST_SEQUENCE`, but without the sequence: such as for two conditions on one subject in one batch."""
BATCH_INCOMPLETE = 10176
"""The broker lacks a message of the batch, and dropped the others."""

TOO_MANY_REQUESTS = 429
FIRST_SERVER_ERROR = 500
SERVICE_UNAVAILABLE = 503
"""Values of `ApiError.code`, as in HTTP."""


class ApiError(Exception):
    """JetStream answered with an error."""

    def __init__(self, verb: str, error: Any) -> None:
        """`error`: the answer's, whatever it is: an answer may be forged."""
        if not isinstance(error, dict):
            error = {}
        self.code = _number(error.get("code"), 500)
        """As in HTTP: 4xx means that the request is at fault, 5xx the broker."""
        self.err_code = _number(error.get("err_code"), 0)
        """JetStream's own code, such as `STREAM_NOT_FOUND`."""
        self.description = str(error.get("description", ""))
        super().__init__(f"{verb}: {self.description} ({self.err_code})")


def reason_of(error: Exception) -> str:
    """Return why the client got no answer, as a phrase for people."""
    if isinstance(error, OutboundBufferLimitError):
        # Nothing is buffered: see `connection`.
        return "the connection was lost"
    return str(error).removeprefix("nats: ") or type(error).__name__


def _number(value: Any, otherwise: int) -> int:
    return value if type(value) is int else otherwise


def append_error(error: ApiError) -> LogError:
    """Return what the broker's refusal of an append means.

    The outcome of an incomplete batch is unknown. The broker drops such a batch whole; but during a change of leader
    the refusal can come from a broker that missed the first part, while its predecessor had all of it. The outcome is
    unknown, too, when the store failed in the middle of a write.
    """
    if error.err_code in {WRONG_LAST_MESSAGE_ID, WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_CONSTANT}:
        return AppendConflictError(error.description)
    if error.err_code in {BATCH_INCOMPLETE, STORE_FAILED}:
        return OutcomeUnknownError(str(error))
    if error.code == TOO_MANY_REQUESTS or error.code >= FIRST_SERVER_ERROR:
        return LogUnavailableError(str(error))
    return AppendRefusedError(str(error))
