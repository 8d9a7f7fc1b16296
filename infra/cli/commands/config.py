"""`custody config`: the settings in force, and the source of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from infra.cli.terminal.output import Output
from infra.settings.loading import LoadedSettings


def config(
    loaded: LoadedSettings,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings in force and where each came from."""
    out = Output(as_json=json_, now=datetime.now(UTC))
    rows = [(name, value, str(loaded.origins[name])) for name, value in loaded.shown().items()]
    if json_:
        out.json({name: {"value": value, "from": origin} for name, value, origin in rows})
        return
    out.table(
        ["setting", "value", "from"], [[name, "-" if value is None else value, origin] for name, value, origin in rows]
    )
