"""The settings that a replay is held under."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.commands import lease_misfit
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
    """Fields of each task's lease policy that are replaced, whoever had set them."""
    rearms: bool = False
    """Whether the reprieve after an outage is counted anew by `rules`; else it is the recorded one."""
    named: Mapping[str, Any] = {}
    """The settings as they were named, for showing."""
    cell: Mapping[str, Any] = {}
    """Of those, the ones that a grid varies."""

    def definition(self, recorded: Submitted) -> Submitted:
        """Return a task's definition under this policy."""
        if not self.lease:
            return recorded
        return recorded.model_copy(update={"lease": recorded.lease.model_copy(update=dict(self.lease))})

    def misfit(self, recorded: Submitted) -> str | None:
        """Return in words which lease fields do nothing on a task, because its mode does not look at them, or None."""
        changed = self.definition(recorded).lease
        return lease_misfit(LeasePolicy.model_construct(_fields_set=set(self.lease), **dict(self.lease)), changed.mode)
