"""Refusals and losses in words that a language model can act on: what is so, and what to do now."""

from __future__ import annotations

from typing import Any

from custody_client import (
    AddressError,
    AtCapacity,
    Banned,
    CredentialsError,
    CustodyError,
    IllegalTransition,
    InvalidCommand,
    LeaseLost,
    NoAnswerError,
    NoBrokerError,
    Paused,
    RateLimited,
    StaleSession,
    TaskExists,
    TaskFinished,
    TooLargeError,
    UnknownAgent,
    UnknownTask,
)
from custody_mcp.marked import quoted

STOP = "Stop working on it and write nothing more for it; call claim_work for other work."
AGAIN = "Nothing is lost; wait a little and call the tool again."


class Unconfirmed(CustodyError):  # noqa: N818 - no fault: the answer is still to come
    """A command has no answer yet, and is repeated in the background."""


class NotHeld(CustodyError):  # noqa: N818 - says what is so
    """A tool named a task that the agent does not hold, or none where it has to."""


def in_words(error: CustodyError) -> str:  # noqa: C901, PLR0911, PLR0912 - one answer for each kind of error
    """Return what an error means and what to do about it."""
    match error:
        case LeaseLost():
            return _lost(error)
        case StaleSession():
            return (
                "Another process of this agent has started since, so this one holds nothing any more. Stop working on "
                "every task; end this MCP server, or give one of the two another name with --agent."
            )
        case NoAnswerError() | NoBrokerError():
            return f"Custody gives no answer now ({error}). {AGAIN}"
        case AddressError() | CredentialsError():
            return f"{error}. Tell the person that you work for; what they mend counts from the next start."
        case Paused():
            return "No tasks are given out now: the pool or this agent is paused. Call claim_work again later."
        case AtCapacity():
            return "This agent holds as many tasks as it may. Finish one, or hand it over; my_work shows them."
        case Banned():
            return "An operator has banned this agent. Stop, and tell the person that you work for."
        case RateLimited():
            return f"Too many calls. Wait {error.details.get('retry_after_s', 'a few')} seconds, then call again."
        case UnknownTask():
            return f"There is no such task: {error.message}. Look for it with find."
        case UnknownAgent():
            return f"There is no such agent: {error.message}. Look with find(what='agents')."
        case TaskExists():
            return f"That task_id is taken by another task. Choose another, or leave it out. ({error.message})"
        case TaskFinished():
            return f"That task has ended for good{_how_it_ended(error.details)}. retry makes a new task of it."
        case IllegalTransition():
            return f"That cannot be done to the task as it is now: {error.message}. explain says how it is."
        case InvalidCommand():
            return f"The call is not well-formed: {error.message}{_fields(error.details)}. Correct it and call again."
        case TooLargeError():
            return f"{error}. Write it to a file or a branch, and give the place instead."
        case _:
            return str(error)


def _lost(lost: LeaseLost) -> str:
    """Return who has a task that was lost, and that work on it has to stop."""
    if not lost.certain:
        return (
            f"The lease on {lost.task_id} may have run out: nothing was heard from Custody for its whole term. Another "
            f"agent may hold it by now. {STOP}"
        )
    details = lost.details
    token, since = details.get("token"), details.get("held_since")
    if lost.holder:
        under = f" under token {token}" if token else ""
        then = f" since {since}" if since else ""
        return f"Agent {lost.holder} holds {lost.task_id}{under}{then}. {STOP}"
    if lost.status in {"completed", "failed", "cancelled"}:
        return f"{lost.task_id} has ended{_how_it_ended(details, lost.status)}. {STOP}"
    now = f"; it is {lost.status} now" if lost.status else f" ({quoted(lost.reason)})"
    return f"You do not hold {lost.task_id} any more{now}. {STOP}"


def _how_it_ended(details: dict[str, Any], status: str | None = None) -> str:
    """Return how a task ended, from a refusal's details."""
    status = str(details.get("status") or status or "")
    by = f" by {quoted(str(details['by']))}" if details.get("by") else ""
    at = f" at {details['ended_at']}" if details.get("ended_at") else ""
    why = f" ({quoted(str(details['detail']))})" if details.get("detail") else ""
    return f": it is {status}{by}{at}{why}" if status else ""


def _fields(details: dict[str, Any]) -> str:
    fields = details.get("fields")
    return f" ({fields})" if fields else ""
