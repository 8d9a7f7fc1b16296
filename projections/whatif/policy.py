"""The settings that a replay is held under."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.commands import lease_field_mismatch
from domain.policies.lease import LeasePolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.events.task import Submitted
    from domain.rules import Rules


class Policy(NamedTuple):
    """Named changes to the rules; what is not named stays as it was when the log was written."""

    name: str
    rules: Rules
    """Of the sweeper, the stealer and the reprieve after an outage."""
    lease: Mapping[str, Any] = {}
    """Fields of the pool's lease policy that are replaced."""
    pool_lease: LeasePolicy | None = None
    """What the pool's lease policy was: a task that has another value brought its own and keeps it. None: no task
    keeps any."""
    rearms: bool = False
    """Whether the reprieve after an outage is counted anew by `rules`; else it is the recorded one."""
    named: Mapping[str, Any] = {}
    """The settings as they were named, for showing."""
    cell: Mapping[str, Any] = {}
    """Of those, the ones that a grid varies."""

    def definition(self, recorded: Submitted) -> Submitted:
        """Return a task's definition under this policy."""
        changes = self._changes(recorded.lease)
        return recorded.model_copy(update={"lease": recorded.lease.model_copy(update=changes)}) if changes else recorded

    def misfit(self, recorded: Submitted) -> str | None:
        """Return in words why the named lease fields, or one of them, do nothing on a task; None if they do."""
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
