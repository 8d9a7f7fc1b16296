"""What Custody aims at beside its peers, what a run reached of it, and what bounds what is missed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.peers.catalogue import BY_NAME
from tests.benchmarks.peers.results import Run, ratios

HOPS = "six hops between processes where a database has two; the flush to disk is one on both sides"
FLUSHES = "nats-server flushes each message by itself, or stages a batch in files that it flushes"
STEPS = "three durable steps, each as a renewal, all decided in one service"
SWEEP = "the writer's processor time for each lease, some 60 µs, while the broker and the reader share the other core"
SLICE = "the work on a slice of what is due, and its append, which a renewal may have to wait for twice"
MEMORY = "the processors' caches, which a large pool does not fit into"
WORK = "the processors' time for each command, once an answer does not wait for the disk"
READS = "messages come one by one through the client library, where a database sends rows in bulk"


_IN_WORDS = {
    "p50_ms": "p50",
    "p99_ms": "p99",
    "max_ms": "the last one",
    "others_max_ms": "others' renewals meanwhile",
}


@dataclass(frozen=True, slots=True)
class Aim:
    """A ratio to a contender in one case, or to Custody's own in another; or a figure of its own."""

    comparison: str
    case: str
    figure: str
    limit: float
    bound: str
    """What bounds it, for where it is missed."""
    own: str = "custody"
    to: str | None = None
    """The contender; None where there is no other."""
    to_case: str | None = None
    """The other case; `limit` is of the figure itself where there is neither."""
    at_most: bool = False
    """Whether the limit is an upper one."""

    def reached(self, run: Run) -> float | None:
        """What the run came to; None if it did not measure it."""
        outcome = next((each for each in run.outcomes if each.name == self.comparison), None)
        if outcome is None or (own := outcome.of(self.own, self.case)) is None:
            return None
        if self.to is None and self.to_case is None:
            return own.median(self.figure)
        other = outcome.of(self.to or self.own, self.to_case or self.case)
        found = ratios(own, other, self.figure) if other else []
        return statistics.median(found) if found else None

    def says(self) -> str:
        """The aim in words."""
        limit = f"{'at most' if self.at_most else 'at least'} {self.limit:,g}"
        what = "latency, p50" if self.figure == "p50_ms" else "rate"
        if self.to_case is not None:
            return f"{self.comparison}, {self.case}: {limit} × the {what} with {self.to_case}"
        if self.to is None:
            return f"{self.comparison}, {self.case}: {limit} ms, {_IN_WORDS[self.figure]}"
        return f"{self.comparison}, {self.case}: {limit} × the {what} of {BY_NAME[self.to].label}"


AIMS = (
    Aim("renewals", "1 caller", "p50_ms", 1.3, HOPS, to="bare", at_most=True),
    Aim("renewals", "1 caller", "per_s", 0.7, HOPS, to="postgres"),
    Aim("renewals", "64 callers", "per_s", 1.0, FLUSHES, to="postgres"),
    Aim("renewals", "512 callers", "per_s", 1.5, FLUSHES, to="postgres"),
    Aim("renewals", "512 callers", "per_s", 0.75, "the service's processor time for each command", to="bare"),
    *(
        Aim("life", case, "per_s", 1.0, STEPS, to="postgres")
        for case in ("1 worker", "16 workers", "64 workers", "256 workers")
    ),
    *(
        Aim("relaxed", case, "per_s", 2.0, WORK, own="custody_relaxed", to="custody")
        for case in ("1 caller", "64 callers")
    ),
    *(Aim("due", case, "p99_ms", 50.0, SWEEP, at_most=True) for case in ("1,000 due", "1,000 due, 10,000 alive")),
    Aim("many_due", "1,000 due, 100,000 alive", "p99_ms", 50.0, SWEEP, at_most=True),
    Aim("many_due", "100,000 due", "max_ms", 5_000.0, SWEEP, at_most=True),
    Aim("many_due", "100,000 due", "others_max_ms", 200.0, SLICE, at_most=True),
    Aim("backlog", "1,000,000 waiting", "per_s", 0.8, MEMORY, to_case="1,000 waiting"),
    *(
        Aim("library", case, "per_s", 1.0, READS, own="es_custody", to="es_postgres")
        for case in ("replay of an aggregate of 1,000 events", "notification log, sections of 1,000")
    ),
)


def rows(run: Run, aims: Sequence[Aim] = AIMS) -> list[list[str]]:
    """For each aim that the run measured: the aim, what was reached, and whether that is met or what bounds it."""
    told = []
    for aim in aims:
        reached = aim.reached(run)
        if reached is not None:
            met = reached <= aim.limit if aim.at_most else reached >= aim.limit
            told.append(
                [
                    aim.says(),
                    f"{reached:,.0f}" if reached >= 1000 else f"{reached:.3g}",
                    "met" if met else f"missed: {aim.bound}",
                ]
            )
    return told
