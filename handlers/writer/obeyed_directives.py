"""Which directives a batch of commands answers: those on the tasks that its agents named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import Entity
from handlers.writer.deciding import is_of_stale_session

if TYPE_CHECKING:
    from handlers.memory.memory import Memory
    from handlers.writer.batch import Batch


def drop_obeyed_directives(memory: Memory, batch: Batch) -> None:
    """Drop the directives on tasks that their agents named in a command: each has its answer now."""
    if not memory.directives:
        return
    position = batch.base
    for job, decision in zip(batch.jobs, batch.decisions, strict=True):
        agent_id = job.request.agent_id
        if agent_id is not None and not is_of_stale_session(decision):
            for entity, name in job.names:
                if entity is Entity.TASK:
                    memory.directive_obeyed(agent_id, name, position)
        position += len(decision.records)
