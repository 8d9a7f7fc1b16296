"""Until when a lease is surely held, counted here: the service's clock and this machine's are never compared.

The service judges a lease by its own clock, at `expires_at` and the grace after it. Two such times of one lease differ
by as much as its end was moved, whatever that clock shows. So its end here is counted from a moment at which it was
surely not yet granted, and moved with each confirmed renewal.
"""

from __future__ import annotations

from datetime import datetime

from custody_client.clock import steady_s
from custody_client.wire import Lease


class LocalTerm:
    """The end of one lease by `steady_s`. Read and renewed by two threads; each step is one assignment."""

    def __init__(self, lease: Lease, granted_by: float) -> None:
        """`granted_by`: a moment, by `steady_s`, no later than the grant or the renewal that `lease` shows."""
        self._first_expiry = lease.expires_at
        self._first_end = granted_by + lease.lease_s
        self._expires_at = lease.expires_at
        self.grace_s = lease.grace_s
        self.term_s = lease.lease_s
        """The length of the term, as far as is known: beats go by it."""
        self.confirmed_at = granted_by
        """When the last confirmed renewal was sent."""

    @property
    def ends_at(self) -> float:
        """When the lease may have been judged, by `steady_s`: its term and its grace are over."""
        return self._first_end + (self._expires_at - self._first_expiry).total_seconds() + self.grace_s

    def renew(self, expires_at: datetime, sent_at: float, *, grace_s: float | None = None) -> None:
        """Take a confirmed renewal. A late answer takes nothing back: a renewal never shortens a lease."""
        self.confirmed_at = max(self.confirmed_at, sent_at)
        if grace_s is not None:
            self.grace_s = grace_s
        self._expires_at = max(self._expires_at, expires_at)

    def left_s(self) -> float:
        """Return for how many seconds the lease is still surely held; negative if it may be lost."""
        return self.ends_at - steady_s()
