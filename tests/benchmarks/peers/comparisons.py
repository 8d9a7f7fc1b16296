"""What is compared: the job, its cases, the contenders, and which of the job's figures are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.benchmarks.peers.catalogue import LONG_LOGS


@dataclass(frozen=True, slots=True)
class Case:
    """One size of a job."""

    label: str
    options: dict[str, Any]
    """The job's arguments beside `seconds`."""
    quick: bool = False
    """Whether `--quick` has it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the numbers that a job returns."""

    key: str
    unit: str
    more_is_better: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A job that contenders take turns at."""

    name: str
    title: str
    short: str
    """What is measured, in a word or two."""
    job: str
    """The file in `jobs/`."""
    cases: tuple[Case, ...]
    contenders: tuple[str, ...]
    figures: tuple[Figure, ...]
    """The first one is compared and drawn."""
    own: str = "custody"
    """Which of them is Custody's, and compared with each other."""
    long: bool = False
    """Whether it takes minutes, so that only `--long` has it."""
    fresh: bool = False
    """Whether it begins on new servers, since it fills them."""
    rounds: int | None = None
    """The most rounds, where one takes long."""
    drawn: str | None = None
    """The picture's title, where the title has more than the first figure."""

    @property
    def picture_title(self) -> str:
        """What the picture shows."""
        return self.drawn or self.title


PER_S = Figure("per_s", "a second", more_is_better=True)
P50 = Figure("p50_ms", "ms, p50", more_is_better=False)
P99 = Figure("p99_ms", "ms, p99", more_is_better=False)
MAX = Figure("max_ms", "ms at most", more_is_better=False)

OTHERS_PER_S = 100
"""Renewals of leases that do not run out, while others do."""
BACKLOGS = (1_000, 10_000, 100_000, 1_000_000)
CALLERS = (("1 caller", 1), ("64 callers", 64), ("512 callers", 512))
STORES = ("custody", "postgres", "redis")
QUICK = (*STORES, "bare")
"""Those of `--quick`: the others need seconds for each start of their workers."""
FRAMEWORKS = ("bullmq", "celery", "celery_rabbitmq", "dbos", "dramatiq", "procrastinate", "taskiq_nats")

COMPARISONS = (
    Comparison(
        "renewals",
        "Renewals of held leases, a second",
        "renewals",
        "renewals",
        tuple(Case(label, {"callers": callers}, quick=callers < 512) for label, callers in CALLERS),
        (*STORES, "etcd", "bare"),
        (PER_S, P50, P99),
    ),
    Comparison(
        "relaxed",
        "Renewals where an answer does not wait for the disk, a second",
        "renewals without waiting for the disk",
        "renewals",
        tuple(Case(label, {"callers": callers}) for label, callers in CALLERS),
        ("custody_relaxed", "postgres_relaxed", "redis_relaxed", "custody"),
        (PER_S, P50, P99),
        own="custody_relaxed",
        rounds=3,
    ),
    Comparison(
        "life",
        "Claim, report, complete: tasks a second",
        "tasks",
        "life",
        (
            Case("1 worker", {"workers": 1}, quick=True),
            Case("16 workers", {"workers": 16}, quick=True),
            Case("64 workers", {"workers": 64}),
            Case("256 workers", {"workers": 256}),
        ),
        (*STORES, "bare", "custody_client", *FRAMEWORKS),
        (PER_S,),
        rounds=3,
    ),
    Comparison(
        "offered",
        "200 tasks a second offered to 64 workers: from submit to done, ms",
        "submit to done",
        "offered",
        (Case("64 workers", {"workers": 64, "per_s": 200.0}),),
        (*STORES, "custody_client", *FRAMEWORKS),
        (P50, P99),
        rounds=3,
    ),
    Comparison(
        "due",
        "Leases that run out together: how late a reader knows, ms",
        "late",
        "due",
        (
            Case("1,000 due", {"due": 1000, "alive": 0}),
            Case("1,000 due, 1,000 alive", {"due": 1000, "alive": 1000}),
            Case("1,000 due, 10,000 alive", {"due": 1000, "alive": 10_000}),
        ),
        STORES,
        (P50, P99, MAX),
        fresh=True,
        rounds=3,
    ),
    Comparison(
        "many_due",
        "Leases that run out together in a large pool: how late a reader knows, ms",
        "late in a large pool",
        "due",
        (
            Case("1,000 due, 100,000 alive", {"due": 1000, "alive": 100_000, "renewals_per_s": OTHERS_PER_S}),
            Case("100,000 due", {"due": 100_000, "alive": 100_000, "renewals_per_s": OTHERS_PER_S}),
        ),
        STORES,
        (P50, P99, MAX, Figure("others_max_ms", "ms at most for others' renewals meanwhile", more_is_better=False)),
        fresh=True,
        rounds=1,
        long=True,
    ),
    Comparison(
        "library",
        "The `eventsourcing` library: saves, and events read, a second",
        "eventsourcing",
        "library",
        (
            Case("saves of 2 events, 1 thread", {"step": "save", "threads": 1}),
            Case("saves of 2 events, 16 threads", {"step": "save", "threads": 16}),
            Case("replay of an aggregate of 1,000 events", {"step": "replay", "threads": 1}),
            Case("notification log, sections of 1,000", {"step": "read", "threads": 1}),
        ),
        ("es_custody", "es_postgres", "es_sqlite"),
        (PER_S,),
        own="es_custody",
    ),
    Comparison(
        "backlog",
        "Claim, report, complete with many tasks waiting: tasks a second, 64 workers",
        "tasks with many waiting",
        "backlog",
        tuple(Case(f"{waiting:,} waiting", {"waiting": waiting, "workers": 64}) for waiting in BACKLOGS),
        STORES,
        (PER_S,),
        fresh=True,
        rounds=3,
        long=True,
    ),
    Comparison(
        "long_log",
        "Renewals on a long log, a second, and the start on it",
        "long logs",
        "long_log",
        (Case("64 callers", {"callers": 64}),),
        ("custody", *(f"custody_{events}" for events in LONG_LOGS)),
        (PER_S, Figure("start_s", "s to start", more_is_better=False)),
        fresh=True,
        rounds=3,
        long=True,
        drawn="Renewals on a long log, a second",
    ),
)
