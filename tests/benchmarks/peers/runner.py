"""A run: for each case, the contenders take turns, round after round, on servers that all stay up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.benchmarks.peers.catalogue import BY_NAME
from tests.benchmarks.peers.comparisons import Case, Comparison
from tests.benchmarks.peers.results import Outcome, Run, Series
from tests.benchmarks.peers.servers.server import MissingError
from tests.benchmarks.peers.team import Team


class Runner:
    """Starts each contender when it is first needed; `stop` ends all."""

    def __init__(self, run: Run, say: Callable[[str], None]) -> None:
        self.run = run
        self._say = say
        self._teams: dict[str, Team] = {}
        self._told: set[str] = set()

    def compare(
        self, comparison: Comparison, cases: Iterable[Case], contenders: list[str], rounds: int, seconds: float
    ) -> Outcome:
        """Measure the cases; what a contender cannot do is noted in its series."""
        if comparison.fresh:
            self.stop()
        outcome = Outcome(comparison.name)
        self.run.outcomes.append(outcome)
        teams = [team for name in contenders if (team := self._team(name)) is not None]
        for case in cases:
            series = {team.contender.name: Series(team.contender.name, case.label) for team in teams}
            outcome.series += series.values()
            for number in range(rounds):
                first = number % len(teams) if teams else 0
                for team in (*teams[first:], *teams[:first]):
                    one = series[team.contender.name]
                    if one.error is None:
                        try:
                            one.add(team.measure(comparison.job, case.options | {"seconds": seconds}))
                        except RuntimeError as error:
                            one.error = str(error)
                            self._say(f"{team.contender.label}, {comparison.name}, {case.label}: {error}")
        return outcome

    def stop(self) -> None:
        """End every server and caller."""
        for team in self._teams.values():
            team.stop()
        self._teams.clear()

    def _team(self, name: str) -> Team | None:
        if name in self._teams:
            return self._teams[name]
        if name in self.run.skipped:
            return None
        team = self._teams[name] = Team(BY_NAME[name])
        try:
            team.start()
        except (MissingError, RuntimeError) as error:
            self._teams.pop(name).stop()
            self.run.skipped[name] = str(error)
            self._say(f"without {team.contender.label}: {error}")
            return None
        if name not in self._told:
            self._told.add(name)
            self._say(f"with {team.contender.label}: on disk: {team.contender.durability}. {team.contender.set_up}")
        return team
