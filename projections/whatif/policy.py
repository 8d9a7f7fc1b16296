"""A policy: the settings of one replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from domain.policies.lease import LeasePolicy
from domain.policies.lease_fields import lease_field_mismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.rules import Rules
    from domain.task import Definition


class Policy(NamedTuple):
    """Changes to the rules. Settings that are not named stay as they were when the log was written."""

    name: str
    rules: Rules
    """The rules of the sweeper, the stealer and the time after an outage; lease policies come from `lease`."""
    lease: Mapping[str, Any] = {}
    """Fields of the lease policy that are replaced."""
    pool_lease: LeasePolicy | None = None
    """The pool's recorded lease policy. A task with another value in a field brought its own, and keeps it. None: no
    task keeps its own."""
    rearms: bool = False
    """Whether the floor after an outage is computed by `rules`; else it is the recorded one."""
    named: Mapping[str, Any] = {}
    """The settings as the user named them, for display."""
    cell: Mapping[str, Any] = {}
    """Those of them that a grid varies."""

    def definition(self, recorded: Definition) -> Definition:
        """Return a task's definition under this policy."""
        changes = self._changes(recorded.lease)
        return replace(recorded, lease=recorded.lease.model_copy(update=changes)) if changes else recorded

    def misfit(self, recorded: Definition) -> str | None:
        """Return why the named lease fields, or one of them, have no effect on a task; None if all have."""
        if not self.lease:
            return None
        changes = self._changes(recorded.lease)
        if not changes:
            return f"every task has another {' and '.join(self.lease)} than the pool, by its settings"
        mode = changes.get("mode", recorded.lease.mode)
        return lease_field_mismatch(LeasePolicy.model_construct(_fields_set=set(changes), **changes), mode)

    def _changes(self, own: LeasePolicy) -> dict[str, Any]:
        pool = self.pool_lease
        if pool is None:
            return dict(self.lease)
        return {name: value for name, value in self.lease.items() if getattr(own, name) == getattr(pool, name)}
