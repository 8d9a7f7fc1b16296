"""`custody demo`: simulated agents on a broker of their own."""

from __future__ import annotations

from typing import Annotated

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
from infra.cli.session.settings_command import run_to_end
from infra.settings.loading import LoadedSettings


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
    work = run_demo(settings, agents=agents, tasks=tasks, seconds=seconds, seed=seed, keep=keep, into=into)
    raise typer.Exit(run_to_end(work))
