"""A service on a long log: how long its start took, and renewals a second from then on."""

from __future__ import annotations

from tests.benchmarks.peers.contenders.custody import Custody
from tests.benchmarks.peers.jobs import renewals


class Job:
    """Renew as in `renewals`."""

    def __init__(self, contender: Custody) -> None:
        self._start_s = float(contender.address["start_s"])
        self._renewals = renewals.Job(contender)

    async def measure(self, *, callers: int, seconds: float) -> dict[str, float]:
        """Return renewals a second, and the seconds of the start."""
        return await self._renewals.measure(callers=callers, seconds=seconds) | {"start_s": self._start_s}
