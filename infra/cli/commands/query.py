"""`custody query <view>`: every query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cli.commands.request_command import request_body, request_command, send_request
from infra.cli.terminal.reply_text import show_query
from projections.queries.questions import QUERIES

if TYPE_CHECKING:
    from infra.cli.session.session import Session


def query_command(view: str) -> Any:
    """Return the command of a view."""
    model = QUERIES[view]

    async def run(session: Session, **values: Any) -> None:
        body = request_body(model, values)
        await send_request(session, f"query.{view}", body, show_query, model=model, given=values)

    return request_command(view, model, run)
