"""Which events end a lease or a steal operation, read from their lifecycles."""

from __future__ import annotations

from domain.lifecycles import LEASE, LEASE_ENDS, STEAL, StealStatus

LEASE_ENDING_EVENTS = frozenset(event for _, event, status in LEASE.items() if status in LEASE_ENDS)
"""Names of task events; `stolen` ends one lease and grants the next."""
STEAL_ENDS = frozenset(StealStatus) - {status for status, _, _ in STEAL.items()}
"""The statuses of a steal operation that no event leaves."""
STEAL_ENDING_EVENTS = frozenset(event for _, event, status in STEAL.items() if status in STEAL_ENDS)
