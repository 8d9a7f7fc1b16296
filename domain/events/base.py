"""The base of all events: frozen, versioned, with a stable name on the wire."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Entity(StrEnum):
    """The kinds of things that events are about; the third token of an event's subject."""

    TASK = "task"
    AGENT = "agent"
    STEAL = "steal"
    POOL = "pool"


class Event(BaseModel):
    """The `data` of one event. Fields may be added within a version; anything else needs a new version."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    entity: ClassVar[Entity]
    name: ClassVar[str]
    version: ClassVar[int] = 1
    type_name: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Fix the CloudEvents type, `custody.<entity>.<event>.v<version>`, of each concrete event."""
        super().__pydantic_init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            cls.type_name = f"custody.{cls.entity.value}.{cls.name}.v{cls.version}"
