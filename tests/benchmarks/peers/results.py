"""What a run found, as it is kept in JSON."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Series:
    """What one contender reached in one case: a list of each figure, one entry for each round."""

    contender: str
    case: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    error: str | None = None
    """Why the case ended without figures."""

    def add(self, figures: dict[str, float]) -> None:
        """Take a round's figures."""
        for key, value in figures.items():
            self.figures.setdefault(key, []).append(value)

    def median(self, key: str) -> float | None:
        """The median of the rounds; None without figures."""
        return statistics.median(self.figures[key]) if self.figures.get(key) else None


@dataclass(slots=True)
class Outcome:
    """What one comparison found."""

    name: str
    series: list[Series] = field(default_factory=list)

    def of(self, contender: str, case: str) -> Series | None:
        """The series of a contender in a case; None if it took no part."""
        return next((each for each in self.series if (each.contender, each.case) == (contender, case)), None)


@dataclass(slots=True)
class Run:
    """One run of the command."""

    machine: dict[str, Any]
    outcomes: list[Outcome] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Contenders that took no part, and what they lack."""

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read what `write` wrote."""
        kept = json.loads(path.read_text(encoding="utf-8"))
        outcomes = [Outcome(each["name"], [Series(**one) for one in each["series"]]) for each in kept["outcomes"]]
        return cls(kept["machine"], outcomes, kept["skipped"])


def ratios(of: Series, to: Series, key: str) -> list[float]:
    """What one contender reached by what the other did, round by round."""
    return [a / b for a, b in zip(of.figures.get(key, []), to.figures.get(key, []), strict=False) if b]
