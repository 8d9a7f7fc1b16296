"""What an endpoint answers instead of a result: a status, a code for programs, and a sentence for people."""

from __future__ import annotations


class ApiError(Exception):
    """A request that is refused. The message says what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status."""
        self.code = code
        self.message = message

    def as_json(self) -> dict[str, dict[str, str]]:
        """Return the body of the answer."""
        return {"error": {"code": self.code, "message": self.message}}


def bad_request(message: str) -> ApiError:
    """Return the error for a parameter or a body that cannot be used."""
    return ApiError(400, "bad_request", message)


def not_found(message: str) -> ApiError:
    """Return the error for what the pool never had."""
    return ApiError(404, "not_found", message)


def unavailable(message: str) -> ApiError:
    """Return the error for what cannot be had now, and may be later."""
    return ApiError(503, "unavailable", message)


def busy(message: str) -> ApiError:
    """Return the error for one request too many."""
    return ApiError(503, "busy", message)
