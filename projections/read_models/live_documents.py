"""What is held and who holds it, as one JSON document for each held task and each agent, and what changes in them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.events import Entity
from domain.limits import NAME_PATTERN
from projections.queries.documents import lease_state, task_summary, workload_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.recorded import Recorded
    from domain.task import Lease, Task
    from projections.state.pool_state import PoolState

LEASE, WORKLOAD = "lease", "workload"
_OF_TASK = ("title", "priority", "labels", "deadline")
_NOT_SHOWN = frozenset({"checkpoint"})
"""It may be 64 KiB, and is the next holder's business."""


class LiveChanges(NamedTuple):
    """Documents by key."""

    documents: Mapping[str, bytes | None]
    """None: there is no such document any more."""
    whole: bool
    """Whether these are all there are, and any other is to go."""


def lease_key(task_id: str) -> str:
    """Return the key of a task's lease."""
    return f"{LEASE}.{_token(task_id)}"


def workload_key(agent_id: str) -> str:
    """Return the key of an agent's workload."""
    return f"{WORKLOAD}.{_token(agent_id)}"


def _token(name: str) -> str:
    """Return a name as a part of a key. One that the contract does not allow, in a log of somebody else's, is hex."""
    return name if re.match(NAME_PATTERN, name) else f"={name.encode().hex()}"


class LiveDocuments:
    """Follows the fold of a log; `state` is the fold. The first `take` gives all there is."""

    def __init__(self, state: PoolState) -> None:
        self._state = state
        self._holders: dict[str, str] = {}
        """Of every lease that was taken: its agent by its task."""
        self._tasks = set(state.tasks)
        self._agents = set(state.agents)
        self._whole = True

    def follow(self, recorded: Recorded, body: bytes) -> None:  # noqa: ARG002 # other collectors keep bodies
        """Take in an event that the state has just folded."""
        match recorded.entity:
            case Entity.TASK:
                self._tasks.add(recorded.entity_id)
            case Entity.AGENT:
                self._agents.add(recorded.entity_id)
            case Entity.POOL:
                # Whether an agent takes grants is the pool's to say as well.
                self._agents.update(self._state.agents)

    def skip(self, position: int, subject: str, body: bytes, reason: str, recorded: Recorded | None) -> None:
        """Take in a message that the fold skips: it changes nothing."""

    def take(self) -> LiveChanges:
        """Return what has changed since the last call."""
        documents: dict[str, bytes | None] = {}
        for task_id in self._tasks:
            before = self._holders.pop(task_id, None)
            task = self._state.tasks.get(task_id)
            lease = task.lease if task is not None else None
            if task is not None and lease is not None:
                documents[lease_key(task_id)] = _bytes(lease_document(task, lease))
                self._holders[task_id] = lease.agent_id
            elif before is not None:
                documents[lease_key(task_id)] = None
            now = lease.agent_id if lease is not None else None
            if before != now:
                self._agents.update(each for each in (before, now) if each is not None)
        for agent_id in self._agents:
            agent = self._state.agents.get(agent_id)
            documents[workload_key(agent_id)] = (
                None
                if agent is None
                else _bytes(workload_document(agent, self._state.tasks_held(agent_id), self._state.pool))
            )
        whole, self._whole = self._whole, False
        self._tasks, self._agents = set(), set()
        if whole:
            documents = {key: document for key, document in documents.items() if document is not None}
        return LiveChanges(documents, whole)


def lease_document(task: Task, lease: Lease) -> dict[str, Any]:
    """Return a held task's lease, with what tells the task."""
    summary = task_summary(task)
    return {
        "task_id": task.task_id,
        "task_status": task.status.value,
        **{name: summary[name] for name in _OF_TASK},
        **{name: value for name, value in lease_state(lease).items() if name not in _NOT_SHOWN},
        "position": task.position,
    }


def _bytes(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
