"""`custody top`: the pool as it is now, in a terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from infra.cli.session.session import Session


async def top(
    session: Session,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one snapshot and end, as without a terminal.")] = False,
    as_: Annotated[
        str | None, typer.Option("--as", help="Who you are; recorded with what you do. Default: your user's name.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, and do nothing.")] = False,
) -> None:
    """Show the pool in this terminal: who does what, what needs you; with keys to look closer and to act."""
    if once or session.out.as_json or not (session.out.terminal and sys.stdin.isatty()):
        from custody_top.once import print_once

        await print_once(session)
    else:
        from custody_top.top import TopOptions, run_top

        await run_top(session, TopOptions(person=as_, read_only=read_only))
