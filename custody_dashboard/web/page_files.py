"""The page's files, which the package holds, and the content security policy that names its import map."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from custody_dashboard.web.api_error import ApiError, not_found

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

STATIC = Path(__file__).parent.parent / "static"
INDEX = "index.html"
_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


def page_policy(html: str) -> str:
    """Return the content security policy of the page: its own files, and the one script in it, by digest."""
    maps = " ".join(f"'sha256-{_digest(each)}'" for each in _IMPORT_MAP.findall(html))
    return (
        f"default-src 'none'; script-src 'self'{' ' if maps else ''}{maps}; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class PageFiles:
    """The page at `/`, as it was when the dashboard was started."""

    def __init__(self, directory: Path = STATIC) -> None:
        """Read the page. Raises OSError."""
        self._html = (directory / INDEX).read_text(encoding="utf-8")
        self._headers = {"Content-Security-Policy": page_policy(self._html), "Cache-Control": "no-cache"}

    async def page(self, _: Request) -> Response:
        """Answer with the page."""
        return HTMLResponse(self._html, headers=self._headers)


class OwnFiles(StaticFiles):
    """The files beside the page. A browser asks each time whether they changed, so an upgrade is seen at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file."""
        if scope["method"] not in {"GET", "HEAD"}:
            raise ApiError(405, "method_not_allowed", "a file can only be read")
        try:
            answer = await super().get_response(path, scope)
        except (OSError, ValueError):
            raise not_found("there is no such file") from None
        answer.headers["Cache-Control"] = "no-cache"
        return answer
