"""The events: everything that a pool's log can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import agent, pool, steal, task
from domain.events.base import Entity, Event
from domain.events.catalogue import Catalogue
from domain.events.upcasting import UPCASTERS

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["CATALOGUE", "EVENT_TYPES", "Catalogue", "Entity", "Event", "agent", "pool", "steal", "task"]


def _concrete(module: ModuleType) -> list[type[Event]]:
    return [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type)
        and issubclass(cls, Event)
        and cls.__module__ == module.__name__
        and hasattr(cls, "name")
    ]


EVENT_TYPES: dict[str, type[Event]] = {
    cls.type_name: cls for module in (task, agent, steal, pool) for cls in _concrete(module)
}
"""CloudEvents type -> class, in the order of declaration."""

CATALOGUE = Catalogue(EVENT_TYPES.values(), UPCASTERS)
"""Reads these events, and every older version of them."""
