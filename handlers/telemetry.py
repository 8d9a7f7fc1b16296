"""What a service may tell of its own work: counts of its process, and the stages of each command. Both are optional.

Where neither is wanted, a command costs a few comparisons with None.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from projections.state.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.errors import RefusalCode
    from domain.recorded import Recorded
    from domain.refusal import Refusal
    from domain.request import Request
    from domain.task import Task

COMMAND_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
APPEND_BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)


class ProcessFigures:
    """What this process has done since it started. Only the event loop's thread may use it."""

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()
        """Callers' commands that were taken, by verb; repeats included."""
        self.refusals: Counter[RefusalCode] = Counter()
        """Error replies, those to queries and to ill-formed requests included."""
        self.command_s = Histogram(COMMAND_BOUNDS_S)
        """From a command's receipt to its answer, without claims that waited for work."""
        self.append_s = Histogram(APPEND_BOUNDS_S)
        """From the sending of an append to its acknowledgement."""
        self.batch_commands = Histogram(BATCH_BOUNDS)
        """Commands acknowledged together."""

    def appended(self, commands: int, seconds: float) -> None:
        """Count an acknowledged append, or the part of a chain that was acknowledged at once."""
        self.append_s.add(seconds)
        self.batch_commands.add(commands)


class CommandTrace(Protocol):
    """One command's way through the service. Each method but `end` may be called again: the last call counts."""

    def queued(self) -> None:
        """It waits to be decided."""
        ...

    def deciding(self) -> None:
        """Its decision begins."""
        ...

    def decided(self) -> None:
        """Its decision was made."""
        ...

    def sent(self, commands: int, events: int) -> None:
        """Its append was sent, with so many commands and events in it."""
        ...

    def stored(self) -> None:
        """The log has acknowledged its append."""
        ...

    def replying(self) -> None:
        """Its answer is known."""
        ...

    def end(
        self,
        position: int,
        records: Sequence[Recorded],
        refusal: Refusal | None,
        task_of: Callable[[str], Task | None],
    ) -> None:
        """It was answered, by these events or with a refusal; `task_of` returns a task in memory. Called once."""
        ...


class CommandTracer(Protocol):
    """Begins the traces of commands."""

    def begin(self, request: Request) -> CommandTrace | None:
        """Return the trace of a command that was received now; None: it is not recorded."""
        ...


class Telemetry(NamedTuple):
    """What a pool's service tells of its own work; None: nothing of that kind."""

    figures: ProcessFigures | None = None
    tracer: CommandTracer | None = None


NO_TELEMETRY: Final = Telemetry()
