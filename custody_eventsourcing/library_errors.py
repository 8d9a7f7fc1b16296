"""Translates errors of the broker into the library's classes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

from handlers.ports import AppendForbiddenError, AppendRejectedError, LogError, OutcomeUnknownError
from infra.nats.broker_errors import BrokerError, BrokerTooOldError, NoJetStreamError
from infra.nats.jetstream_errors import STREAM_NOT_FOUND, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator


class UnknownOutcomeError(OperationalError):
    """The broker did not acknowledge the events: they are stored, will be stored later, or never.

    A retry is safe: the same versions are refused with IntegrityError if they are stored after all.
    """


class ForbiddenError(ProgrammingError):
    """The broker does not allow this to the connection's user."""


@contextlib.contextmanager
def library_errors(remedy_for_rights: str) -> Iterator[None]:
    """Raise the library's error in place of the broker's. `remedy_for_rights`: what to do where a right is lacking."""
    try:
        yield
    except (BrokerTooOldError, NoJetStreamError) as error:
        raise NotSupportedError(str(error)) from error
    except OutcomeUnknownError as error:
        raise UnknownOutcomeError(f"not known whether it was stored: {error}") from error
    except AppendForbiddenError as error:
        raise ForbiddenError(f"{error}: {remedy_for_rights}") from error
    except AppendRejectedError as error:
        raise DataError(str(error)) from error
    except (BrokerError, LogError) as error:
        raise OperationalError(str(error)) from error
    except ApiError as error:
        if error.err_code == STREAM_NOT_FOUND:
            raise ProgrammingError(f"there is no such stream: {error}") from error
        raise DatabaseError(str(error)) from error
