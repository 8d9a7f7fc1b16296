"""Running the service, the demonstration, and showing the settings."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from custody_demo import (
    DEFAULT_AGENTS,
    DEFAULT_SECONDS,
    DEFAULT_SEED,
    DEFAULT_TASKS,
    MAX_AGENTS,
    MAX_SECONDS,
    MAX_TASKS,
    MIN_AGENTS,
    MIN_SECONDS,
    MIN_TASKS,
)
from infra.cli.framework.making import takes
from infra.cli.framework.options import options_of
from infra.cli.session.broker_access import DEFAULT_URL
from infra.cli.session.session import EXIT_USAGE
from infra.cli.terminal.output import complain
from infra.settings.loading import LoadedSettings, load_settings
from infra.settings.settings import GROUPS, Settings
from infra.settings.sources import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_GENERAL = "General"


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function that takes the loaded settings: every setting becomes a flag of it."""
    own = [each for each in inspect.signature(function, eval_str=True).parameters.values() if each.name != "loaded"]
    specs = [spec for name in ("config",) for spec in options_of(Settings, panel=_GENERAL) if spec.parameter == name]
    for group in GROUPS:
        specs += options_of(group, panel=(group.__doc__ or "").removesuffix("."))

    def command(**values: Any) -> None:
        flags = {spec.parameter: values.pop(spec.parameter) for spec in specs}
        try:
            loaded = load_settings(flags)
        except SettingsError as error:
            for line in str(error).splitlines():
                complain(line)
            raise typer.Exit(EXIT_USAGE) from None
        function(loaded, **values)

    takes(command, [*(each.replace(kind=_KEYWORD) for each in own), *(spec.to_parameter() for spec in specs)])
    command.__doc__ = function.__doc__
    return command


def up(loaded: LoadedSettings) -> None:
    """Run a broker and the service here, until interrupted; the data is kept in the data directory."""
    from infra.service.run import run_up

    raise typer.Exit(_run(lambda: run_up(loaded.settings)))


def serve(loaded: LoadedSettings) -> None:
    """Run the service against a broker that is there already, until interrupted."""
    from infra.service.run import run_serve

    url = loaded.settings.nats or DEFAULT_URL
    raise typer.Exit(_run(lambda: run_serve(loaded.settings, url)))


def demo(
    loaded: LoadedSettings,
    agents: Annotated[
        int, typer.Option(min=MIN_AGENTS, max=MAX_AGENTS, help="Simulated agents.", show_default=True)
    ] = DEFAULT_AGENTS,
    tasks: Annotated[
        int, typer.Option(min=MIN_TASKS, max=MAX_TASKS, help="Tasks they are given.", show_default=True)
    ] = DEFAULT_TASKS,
    seconds: Annotated[
        float, typer.Option(min=MIN_SECONDS, max=MAX_SECONDS, help="About how long it takes.", show_default=True)
    ] = DEFAULT_SECONDS,
    seed: Annotated[int, typer.Option(help="Repeats a run.", show_default=True)] = DEFAULT_SEED,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the log, for asking about it; --data-dir says where.")
    ] = False,
) -> None:
    """Let simulated agents work, some of which crash, go silent or are slow; then check the log."""
    from custody_demo.demo import run_demo

    settings = loaded.settings
    into = settings.data_dir if loaded.origins["data_dir"].kind == "flag" else None
    if into is not None and not keep:
        raise typer.BadParameter("only with --keep: without that, the log is thrown away", param_hint="--data-dir")
    raise typer.Exit(
        _run(lambda: run_demo(settings, agents=agents, tasks=tasks, seconds=seconds, seed=seed, keep=keep, into=into))
    )


def config(
    loaded: LoadedSettings,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings in force and where each came from."""
    from datetime import UTC, datetime

    from infra.cli.terminal.output import Output

    out = Output(as_json=json_, now=datetime.now(UTC))
    shown = loaded.shown()
    if json_:
        out.json({name: {"value": value, "from": str(loaded.origins[name])} for name, value in shown.items()})
        return
    rows = [[name, value, str(loaded.origins[name])] for name, value in shown.items()]
    out.table(
        ["setting", "value", "from"], [[name, "-" if value is None else value, came] for name, value, came in rows]
    )


def _run(work: Callable[[], Awaitable[int]]) -> int:
    """Run a service to its end, on uvloop where it exists."""

    async def main() -> int:
        return await work()

    try:
        import uvloop
    except ImportError:
        return asyncio.run(main())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())
