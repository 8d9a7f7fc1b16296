"""Which events can be read: the newest version of each, and every older one through its upcasters.

An upcaster turns the `data` of one version of an event into that of the next. They are chained, so a log of any age is
read as if today's software had written it, and only the newest version has a class and a fold.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.events.base import Event

Data = dict[str, Any]
Upcaster = Callable[[Data], Data]
"""Pure: returns new data and does not change its argument."""

_TYPE = re.compile(r"(?P<name>custody\.[a-z]+\.[a-z_]+)\.v(?P<version>[1-9][0-9]{0,8})", re.ASCII)


class Reading(NamedTuple):
    """How to read one CloudEvents type."""

    kind: type[Event]
    upcasters: tuple[Upcaster, ...] = ()
    """From this version to the newest, the first one first."""

    def upcast(self, data: Any) -> Any:
        """Return the data of an older version as that of the newest.

        Raises:
            ValueError: it is not what that version's data was.
        """
        try:
            for step in self.upcasters:
                data = step(data)
        except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
            what = f"{type(error).__name__} {error}"
            raise ValueError(f"cannot be read as version {self.kind.version}: {what}") from error
        return data


class Catalogue:
    """Events by their CloudEvents type, in every version from 1 to the newest."""

    def __init__(self, kinds: Iterable[type[Event]], upcasters: Mapping[tuple[str, int], Upcaster]) -> None:
        """`upcasters`: keyed by what they read, such as `("task.progressed", 1)` for the step from version 1 to 2.

        Raises:
            ValueError: an upcaster is missing, or belongs to no event.
        """
        self.newest: dict[str, type[Event]] = {kind.type_name: kind for kind in kinds}
        self.readings: dict[str, Reading] = {}
        self._versions: dict[str, int] = {}
        unused = set(upcasters)
        for kind in self.newest.values():
            short = f"{kind.entity.value}.{kind.name}"
            self._versions[f"custody.{short}"] = kind.version
            self.readings[kind.type_name] = Reading(kind)
            for version in range(1, kind.version):
                keys = [(short, step) for step in range(version, kind.version)]
                missing = [key for key in keys if key not in upcasters]
                if missing:
                    raise ValueError(f"{short} is at version {kind.version} and has no upcaster from {missing[0][1]}")
                unused.difference_update(keys)
                self.readings[f"custody.{short}.v{version}"] = Reading(kind, tuple(upcasters[key] for key in keys))
        if unused:
            raise ValueError(f"upcasters lead nowhere: {sorted(unused)}")

    def why_unknown(self, type_name: str) -> str:
        """Return why a type that is not in `readings` cannot be read, and what to do."""
        parts = _TYPE.fullmatch(type_name)
        known = self._versions.get(parts["name"]) if parts else None
        if known is None:
            return f"this software does not know its type {type_name}: if a later release wrote it, use that one"
        return (
            f"its type {type_name} is newer than this software, which reads versions up to {known}: "
            "use the release that wrote it, or a later one"
        )
