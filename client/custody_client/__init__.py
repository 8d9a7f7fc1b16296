"""Workers and clients of Custody.

    from custody_client import Held, Worker

    worker = Worker("builder-1")

    @worker.task("report")
    async def report(job: dict, held: Held) -> str:
        await held.progress(50, "half of it")
        return "report.pdf"

    worker.run()

It speaks the wire contract over NATS, and has nothing of the service in it.
"""

from custody_client.children import Finished
from custody_client.client import Client, Task
from custody_client.errors import (
    AddressError,
    AtCapacity,
    Banned,
    CommandConflict,
    ContractError,
    CredentialsError,
    CustodyError,
    HandOver,
    IllegalTransition,
    InvalidCommand,
    LeaseLost,
    NoAnswerError,
    NoBrokerError,
    NotHolder,
    NotRetryable,
    NotUpError,
    NotWriter,
    Overloaded,
    Paused,
    RateLimited,
    Refused,
    StaleSession,
    StaleToken,
    Stopped,
    TaskExists,
    TaskFailed,
    TaskFinished,
    TooLargeError,
    Unavailable,
    UnknownAgent,
    UnknownTask,
)
from custody_client.held import Held
from custody_client.log_context import TaskFields, WorkingOn, working_on
from custody_client.retrying import Retry
from custody_client.sync_client import SyncClient, SyncTask
from custody_client.sync_held import SyncHeld
from custody_client.sync_worker import SyncWorker
from custody_client.wire import Event, Explanation, Fate, Handoff, Lease, OwnReport, TaskState
from custody_client.worker import Worker

__all__ = [
    "AddressError",
    "AtCapacity",
    "Banned",
    "Client",
    "CommandConflict",
    "ContractError",
    "CredentialsError",
    "CustodyError",
    "Event",
    "Explanation",
    "Fate",
    "Finished",
    "HandOver",
    "Handoff",
    "Held",
    "IllegalTransition",
    "InvalidCommand",
    "Lease",
    "LeaseLost",
    "NoAnswerError",
    "NoBrokerError",
    "NotHolder",
    "NotRetryable",
    "NotUpError",
    "NotWriter",
    "Overloaded",
    "OwnReport",
    "Paused",
    "RateLimited",
    "Refused",
    "Retry",
    "StaleSession",
    "StaleToken",
    "Stopped",
    "SyncClient",
    "SyncHeld",
    "SyncTask",
    "SyncWorker",
    "Task",
    "TaskExists",
    "TaskFailed",
    "TaskFields",
    "TaskFinished",
    "TaskState",
    "TooLargeError",
    "Unavailable",
    "UnknownAgent",
    "UnknownTask",
    "Worker",
    "WorkingOn",
    "working_on",
]
