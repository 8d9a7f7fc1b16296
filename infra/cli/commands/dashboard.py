"""`custody dashboard`: a page that shows the pool as it is, as it was, and lets people act."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from custody_dashboard import DEFAULT_PORT, LOOPBACK
from infra.cli.session.session import Session
from infra.host.shell import say

NICENESS = 5


async def dashboard(
    session: Session,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the page; 0: a free one.", show_default=True)
    ] = DEFAULT_PORT,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need --token-file.", show_default=True)
    ] = LOOPBACK,
    token_file: Annotated[
        Path | None, typer.Option(help="Who may see it, one a line: name:role:token; role viewer or operator.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name under which the page is reached, such as that of a proxy.")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", help="Who you are; recorded with what you do. Default: your user's name.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, and do nothing.")] = False,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", help="End when standard input is closed, as by the end of what started it.")
    ] = False,
) -> None:
    """Serve a page that shows the pool: who does what, what needs you, what happened; until interrupted."""
    if with_parent and hasattr(os, "nice"):
        # Beside a service the dashboard gives way, from its imports on.
        os.nice(NICENESS)
    from custody_dashboard.dashboard_server import DashboardOptions, run_dashboard

    options = DashboardOptions(
        host=host,
        port=port,
        person=as_,
        token_file=token_file,
        allowed_hosts=tuple(allow_host or ()),
        read_only=read_only,
        with_parent=with_parent,
    )

    def show(address: str) -> None:
        if session.out.as_json:
            session.out.json({"address": address, "pool": session.settings.pool})
        else:
            say(f"dashboard {address} of pool {session.settings.pool}")

    await run_dashboard(session, options, show)
