"""What is compared: the job, its cases, the contenders, and which of the job's figures are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
    job: str
    """The file in `jobs/`."""
    cases: tuple[Case, ...]
    contenders: tuple[str, ...]
    figures: tuple[Figure, ...]
    """The first one is compared and drawn."""
    long: bool = False
    """Whether it takes minutes, so that only `--long` has it."""
    absent: dict[str, str] = field(default_factory=dict)
    """Who is not among the contenders, and why."""


PER_S = Figure("per_s", "a second", more_is_better=True)
P50 = Figure("p50_ms", "ms, p50", more_is_better=False)
P99 = Figure("p99_ms", "ms, p99", more_is_better=False)

STORES = ("custody", "postgres", "redis")
FRAMEWORKS = ("bullmq", "celery", "dramatiq", "procrastinate", "taskiq_nats")

COMPARISONS = (
    Comparison(
        "renewals",
        "Renewals of held leases, a second",
        "renewals",
        (
            Case("1 caller", {"callers": 1}, quick=True),
            Case("64 callers", {"callers": 64}, quick=True),
            Case("512 callers", {"callers": 512}),
        ),
        (*STORES, "bare"),
        (PER_S, P50, P99),
    ),
    Comparison(
        "life",
        "Claim, report, complete: tasks a second",
        "life",
        (
            Case("1 worker", {"workers": 1}, quick=True),
            Case("16 workers", {"workers": 16}, quick=True),
            Case("64 workers", {"workers": 64}),
            Case("256 workers", {"workers": 256}),
        ),
        (*STORES, "bare", *FRAMEWORKS),
        (PER_S,),
    ),
    Comparison(
        "offered",
        "200 tasks a second offered to 64 workers: from submit to done, ms",
        "offered",
        (Case("64 workers", {"workers": 64, "per_s": 200.0}),),
        (*STORES, *FRAMEWORKS),
        (P50, P99),
    ),
)
