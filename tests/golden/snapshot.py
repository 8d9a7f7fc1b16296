"""A pool's entities as plain JSON."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

import msgspec
from pydantic import BaseModel

from domain.timestamps import format_timestamp
from projections.state.pool_state import PoolState


def snapshot(state: PoolState) -> dict[str, Any]:
    """Return every entity in memory, by key, with the state's own position."""
    entities = {f"{kind.value}/{entity_id}": plain(entity) for (kind, entity_id), entity in state.entities().items()}
    return {"position": state.position, "last_time": format_timestamp(state.last_time), "entities": entities}


def plain(value: Any) -> Any:
    """Return a value of the domain as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, msgspec.Struct):
        return {name: plain(each) for name, each in msgspec.structs.asdict(value).items()}
    if isinstance(value, datetime):
        return format_timestamp(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(plain(each) for each in value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
