"""The dashboard as an ASGI application: its routes, and what stands before and behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route

from custody_dashboard.endpoints.acting import Acting
from custody_dashboard.endpoints.now_endpoints import NowEndpoints
from custody_dashboard.endpoints.past_endpoints import PastEndpoints
from custody_dashboard.endpoints.report_endpoints import ReportEndpoints
from custody_dashboard.endpoints.session_endpoints import SessionEndpoints
from custody_dashboard.endpoints.stream_endpoint import StreamEndpoint
from custody_dashboard.web.api_error import ApiError, unavailable
from custody_dashboard.web.guards import Guards
from custody_dashboard.web.json_reply import JsonReply
from custody_dashboard.web.page_files import STATIC, OwnFiles, PageFiles
from custody_dashboard.web.parameters import Parameters
from handlers.ports import LogError
from infra.cli.watching.watched_pool import UnwatchedError
from infra.nats.broker_errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from custody_dashboard.endpoints.context import Context

_WORDS = {404: "there is no such address; the page is at /", 405: "this address takes another method"}


def new_app(context: Context, hosts: Collection[str] | None, static: Path = STATIC) -> ASGIApp:
    """Return the application. `hosts`: the names under which it may be asked; None: any."""
    page, session, now = PageFiles(static), SessionEndpoints(context), NowEndpoints(context)
    past, reports, acting = PastEndpoints(context), ReportEndpoints(context), Acting(context.watch)

    async def act(request: Request) -> Response:
        Parameters(request.query_params, ())
        person = context.person(request)
        return await acting.act(request, person, context.why_not_act(person))

    def get(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(path, endpoint, methods=["GET"])

    def post(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(path, endpoint, methods=["POST"])

    routes = [
        get("/", page.page),
        get("/api/session", session.session),
        post("/api/login", session.login),
        post("/api/logout", session.logout),
        get("/api/stream", StreamEndpoint(context).stream),
        get("/api/tasks", now.tasks),
        get("/api/task", now.task),
        # A task's id may have a slash, which the server has decoded by then.
        get("/api/task/{id:path}", now.task),
        get("/api/agent", now.agent),
        get("/api/agent/{id}", now.agent),
        get("/api/steals", now.steals),
        get("/api/statistics", now.statistics),
        get("/api/at", past.at),
        get("/api/diff", past.diff),
        get("/api/timeline", past.timeline),
        get("/api/morning", reports.morning),
        get("/api/postmortem", reports.postmortem),
        post("/api/act", act),
        Mount("/static", OwnFiles(directory=static)),
    ]
    handlers = {
        ApiError: _on_api_error,
        HTTPException: _on_http_error,
        LogError: _on_log_error,
        BrokerError: _on_log_error,
        UnwatchedError: _on_unwatched,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guards(app, hosts)


async def _on_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - it is registered for this class
    return JsonReply(error.as_json(), error.status)


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - same
    code = "not_found" if error.status_code == 404 else "refused"  # noqa: PLR2004 - HTTP's own
    answer = ApiError(error.status_code, code, _WORDS.get(error.status_code, str(error.detail)))
    return JsonReply(answer.as_json(), error.status_code, error.headers)


async def _on_log_error(_: Request, error: Exception) -> Response:
    answer = unavailable(f"the broker does not answer now, try again: {error}")
    return JsonReply(answer.as_json(), answer.status)


async def _on_unwatched(_: Request, error: Exception) -> Response:
    answer = unavailable(str(error))
    return JsonReply(answer.as_json(), answer.status)
