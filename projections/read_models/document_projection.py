"""The projection of a log onto JSON documents: one for each held task's lease, one for each agent's workload."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.events import Entity
from domain.subjects import subject_token
from projections.queries.documents import lease_state, task_summary, workload_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.agent import Agent
    from domain.recorded import Recorded
    from domain.task import Lease, Task
    from projections.state.pool_state import PoolState

LEASE, WORKLOAD = "lease", "workload"
_TASK_FIELDS = ("title", "priority", "labels", "deadline")
_LEFT_OUT = frozenset({"checkpoint"})
"""Left out: it may be 64 KiB, and only the next holder needs it."""


class DocumentChanges(NamedTuple):
    """Documents by key."""

    documents: Mapping[str, bytes | None]
    """None: the document is to be deleted."""
    replace_all: bool
    """Whether these are all documents, so that any other is to be deleted."""


def lease_key(task_id: str) -> str:
    """Return the key of a task's lease."""
    return f"{LEASE}.{_token(task_id)}"


def workload_key(agent_id: str) -> str:
    """Return the key of an agent's workload."""
    return f"{WORKLOAD}.{_token(agent_id)}"


def _token(name: str) -> str:
    """Return an id as a token of a key: as in subjects, with `=` for `%`, which clients do not take in keys."""
    return subject_token(name).replace("%", "=") or "="


class DocumentProjection:
    """Collects the documents that change; `state` is the fold. The first `take_changes` returns all documents."""

    def __init__(self, state: PoolState) -> None:
        self._state = state
        self._holders: dict[str, str] = {}
        """Task -> agent, of every lease that has a document."""
        self._tasks = set(state.tasks)
        self._agents = set(state.agents)
        self._replace_all = True

    def apply(self, recorded: Recorded, body: bytes) -> None:  # noqa: ARG002 # the protocol's signature
        """Take an event that the state has just folded."""
        match recorded.entity:
            case Entity.TASK:
                self._tasks.add(recorded.entity_id)
            case Entity.AGENT:
                self._agents.add(recorded.entity_id)
            case Entity.POOL:
                # A workload says whether its agent takes grants, which depends on the pool too.
                self._agents.update(self._state.agents)

    def skip(self, position: int, subject: str, body: bytes, reason: str, recorded: Recorded | None) -> None:
        """Do nothing: a message that the fold skips changes no document."""

    def take_changes(self) -> DocumentChanges:
        """Return what has changed since the last call."""
        documents: dict[str, bytes | None] = {}
        for task_id in self._tasks:
            before = self._holders.pop(task_id, None)
            task = self._state.tasks.get(task_id)
            lease = task.lease if task is not None else None
            if task is not None and lease is not None:
                documents[lease_key(task_id)] = _bytes(live_lease_document(task, lease))
                self._holders[task_id] = lease.agent_id
            elif before is not None:
                documents[lease_key(task_id)] = None
            now = lease.agent_id if lease is not None else None
            if before != now:
                self._agents.update(each for each in (before, now) if each is not None)
        for agent_id in self._agents:
            agent = self._state.agents.get(agent_id)
            documents[workload_key(agent_id)] = None if agent is None else _bytes(self._workload(agent))
        replace_all, self._replace_all = self._replace_all, False
        self._tasks, self._agents = set(), set()
        if replace_all:
            documents = {key: document for key, document in documents.items() if document is not None}
        return DocumentChanges(documents, replace_all)

    def _workload(self, agent: Agent) -> dict[str, Any]:
        state = self._state
        return workload_document(agent, state.tasks_held(agent.agent_id), state.pool, state.rules.steal)


def live_lease_document(task: Task, lease: Lease) -> dict[str, Any]:
    """Return a held task's lease, with a summary of the task."""
    summary = task_summary(task)
    return {
        "task_id": task.task_id,
        "task_status": task.status.value,
        **{name: summary[name] for name in _TASK_FIELDS},
        **{name: value for name, value in lease_state(lease).items() if name not in _LEFT_OUT},
        "position": task.position,
    }


def _bytes(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
