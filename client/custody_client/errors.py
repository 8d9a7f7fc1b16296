"""What can go wrong, by who has to do something about it."""

from __future__ import annotations

from typing import Any, ClassVar


class CustodyError(Exception):
    """The base of every error of this library."""


class AddressError(CustodyError):
    """Nothing says where the broker is, or what says it cannot be read."""


class NotUpError(AddressError):
    """The data directory names no broker now: its `custody up` does not run, or is still to come."""


class CredentialsError(CustodyError):
    """The broker does not take the credentials, or they are of a kind that cannot be used here."""


class NoBrokerError(CustodyError):
    """No broker was reached in the time given; the message has the last reason."""


class NoAnswerError(CustodyError):
    """A request got no usable answer in time: whether it was carried out is not known."""


class ContractError(CustodyError):
    """An answer does not follow the wire contract, as this version knows it."""


class TooLargeError(CustodyError, ValueError):
    """A payload, checkpoint or result is larger than the contract takes."""


class TaskFailed(CustodyError):  # noqa: N818 - an outcome, not a fault of the caller
    """The task that was waited for ended without a result: it failed or was cancelled."""

    def __init__(self, task_id: str, status: str, detail: str | None) -> None:
        super().__init__(f"{task_id} {status}" + (f": {detail}" if detail else ""))
        self.task_id = task_id
        self.status = status
        """`failed` or `cancelled`."""
        self.detail = detail
        """What its holder, an operator or the sweeper said."""


class LeaseLost(CustodyError):  # noqa: N818 - an outcome, not a fault of the handler
    """The task is not held any more: stop working on it, and write nothing in its name."""

    def __init__(
        self,
        task_id: str,
        token: int,
        reason: str,
        *,
        holder: str | None = None,
        status: str | None = None,
        certain: bool = True,
        details: dict[str, Any] | None = None,
    ) -> None:
        now = f"; {holder} has it now" if holder else f"; it is {status} now" if status else ""
        super().__init__(f"{task_id} under token {token} is lost: {reason}{now}")
        self.task_id = task_id
        self.token = token
        self.reason = reason
        self.holder = holder
        """Who holds the task now, if that is known."""
        self.status = status
        """What the task's status is now, if that is known."""
        self.certain = certain
        """Whether the service said so; else its term ran out here, without an answer."""
        self.details = details or {}
        """What the service said of it: who has the task since when, or how it ended."""


class NotRetryable(CustodyError):  # noqa: N818 - raised by handlers: it says what is so
    """Raised by a handler: the attempt failed, and no other can succeed."""


class HandOver(CustodyError):  # noqa: N818 - raised by handlers: it says what to do
    """Raised by a handler: give the task back with its last checkpoint, for another holder or a later time."""

    def __init__(self, reason: str = "handed over", *, delay_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay_s = delay_s
        """Seconds for which no agent is granted the task."""


class Stopped(BaseException):
    """Raised in the thread of a `def` handler whose lease is lost or is to be handed over.

    It is no `Exception`, as `asyncio.CancelledError` is none: a handler that catches all exceptions still stops. Let it
    pass.
    """


class Refused(CustodyError):  # noqa: N818 - a refusal is an answer
    """The service refused a command. Each code has a class of its own; a code that is not known here has this one."""

    code: str = ""
    """The contract's name of the refusal, such as `stale_token`."""
    all_codes: ClassVar[dict[str, type[Refused]]] = {}
    """The class of each code."""

    def __init__(self, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details
        """What the service knows of it, such as `status` and `holder` of the task."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.code:
            cls.all_codes[cls.code] = cls


class InvalidCommand(Refused):
    """The command is malformed; `details["fields"]` says where."""

    code = "invalid_command"


class CommandConflict(Refused):
    """The `command_id` came before with another body."""

    code = "command_conflict"


class UnknownAgent(Refused):
    """The agent is not registered."""

    code = "unknown_agent"


class StaleSession(Refused):
    """Another process of the agent has registered since: this one holds nothing any more."""

    code = "stale_session"


class UnknownTask(Refused):
    """No such task was ever submitted to the pool."""

    code = "unknown_task"


class TaskExists(Refused):
    """The task id is taken by another definition."""

    code = "task_exists"


class TaskFinished(Refused):
    """The task has ended for good; `details` says how."""

    code = "task_finished"


class StaleToken(Refused):
    """The lease is not the task's current one; `details` names status and holder."""

    code = "stale_token"


class NotHolder(Refused):
    """The token is current, and another agent's."""

    code = "not_holder"


class IllegalTransition(Refused):
    """The task's lifecycle does not allow it from where it is."""

    code = "illegal_transition"


class Paused(Refused):
    """The pool or the agent gets no new grants."""

    code = "paused"


class AtCapacity(Refused):
    """The agent holds as many leases as it may."""

    code = "at_capacity"


class Overloaded(Refused):
    """The service's queue is full."""

    code = "overloaded"


class NotWriter(Refused):
    """This replica does not lead the pool."""

    code = "not_writer"


class Unavailable(Refused):
    """The broker did not confirm in time: the outcome is unknown."""

    code = "unavailable"


class RateLimited(Refused):
    """The caller sends too much; `details["retry_after_s"]` says how long to wait."""

    code = "rate_limited"


class Banned(Refused):
    """An operator has banned the agent."""

    code = "banned"


TRY_AGAIN = frozenset({Overloaded.code, NotWriter.code, Unavailable.code, RateLimited.code})
"""Codes after which the same command is sent again, with the same `command_id`."""

LOST = (StaleToken, NotHolder, TaskFinished, UnknownTask, StaleSession)
"""Refusals of a command on a held task that say that it is not held any more."""


def refusal(code: str, message: str, details: dict[str, Any]) -> Refused:
    """Return the error of a code."""
    return Refused.all_codes.get(code, Refused)(code, message, details)


def lease_lost(task_id: str, token: int, refused: Refused) -> LeaseLost:
    """Return what a refusal says of a lease that was held."""
    details = refused.details
    return LeaseLost(
        task_id,
        token,
        refused.message,
        holder=details.get("holder"),
        status=details.get("status"),
        details=details,
    )
