"""A small issue board over HTTP, which stands for an issue tracker with a REST API.

    python examples/board/board.py 8080 board.json      the port, and the file that keeps the issues

    POST  /issues                   {"title", "body", "labels", "by"} -> the issue
    GET   /issues/NUMBER            -> the issue, with its comments
    POST  /issues/NUMBER/comments   {"body", "by"} -> the issue
    PATCH /issues/NUMBER            {"state", "state_reason", "labels", "by"} -> the issue; what is left out stays
    GET   /changes?after=SERIAL     -> what was opened, commented, closed and reopened since, in order

A comment or a change says who made it (`by`), as a tracker's API does of the token that was used.
"""

# ruff: noqa: INP001, T201 - a script; it prints to its user

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Board:
    """The issues, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        empty: dict[str, Any] = {"issues": {}, "changes": []}
        self._kept = json.loads(path.read_text()) if path.exists() else empty

    def issue(self, number: str) -> dict[str, Any]:
        """Return one issue; raises KeyError."""
        found: dict[str, Any] = self._kept["issues"][number]
        return found

    def changes(self, after: int) -> list[dict[str, Any]]:
        """Return the changes with a higher serial."""
        found: list[dict[str, Any]] = self._kept["changes"][after:]
        return found

    def open(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Open an issue."""
        _check(asked, "title", "by")
        with self._lock:
            number = str(len(self._kept["issues"]) + 1)
            issue: dict[str, Any] = {
                "number": int(number), "title": asked["title"], "body": asked.get("body", ""), "state": "open",
                "state_reason": None, "labels": asked.get("labels", []), "comments": [],
            }  # fmt: skip
            self._kept["issues"][number] = issue
            self._changed(number, "opened", asked)
            return issue

    def comment(self, number: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Add a comment."""
        _check(asked, "body", "by")
        with self._lock:
            issue = self.issue(number)
            issue["comments"].append({"body": asked["body"], "by": asked["by"]})
            self._changed(number, "commented", asked, asked["body"])
            return issue

    def update(self, number: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Change what is given."""
        _check(asked, "by")
        with self._lock:
            issue = self.issue(number)
            before = issue["state"]
            issue.update({name: asked[name] for name in ("state", "state_reason", "labels") if name in asked})
            if issue["state"] != before:
                self._changed(number, "closed" if issue["state"] == "closed" else "reopened", asked)
            self._keep()
            return issue

    def _changed(self, number: str, action: str, asked: dict[str, Any], body: str | None = None) -> None:
        serial = len(self._kept["changes"]) + 1
        change = {"serial": serial, "issue": int(number), "action": action, "by": asked["by"], "body": body}
        self._kept["changes"].append(change)
        self._keep()

    def _keep(self) -> None:
        """Write the file so that it is whole whatever happens."""
        partial = self._path.with_suffix(".part")
        partial.write_text(json.dumps(self._kept))
        partial.replace(self._path)


def _check(asked: dict[str, Any], *names: str) -> None:
    """Raise ValueError unless all of these are there, before anything is changed."""
    missing = [name for name in names if not isinstance(asked.get(name), str)]
    if missing:
        raise ValueError(f"needed, as text: {', '.join(missing)}")


class Handler(BaseHTTPRequestHandler):
    """Answers requests."""

    board: Board

    def do_GET(self) -> None:
        """Answer a question."""
        parts = urlsplit(self.path)
        if parts.path == "/changes":
            self._answer(200, self.board.changes(int(parse_qs(parts.query).get("after", ["0"])[0])))
        else:
            self._carry_out(lambda place, _: self.board.issue(place[1]))

    def do_POST(self) -> None:
        """Open an issue or add a comment."""
        self._carry_out(
            lambda place, asked: self.board.comment(place[1], asked) if len(place) > 1 else self.board.open(asked)
        )

    def do_PATCH(self) -> None:
        """Change an issue."""
        self._carry_out(lambda place, asked: self.board.update(place[1], asked))

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""

    def _carry_out(self, work: Any) -> None:
        length = int(self.headers.get("content-length") or 0)
        try:
            asked = json.loads(self.rfile.read(length) or b"{}")
            self._answer(200, work(urlsplit(self.path).path.strip("/").split("/"), asked))
        except (KeyError, IndexError):
            self._answer(404, {"error": "there is no such issue"})
        except (ValueError, AttributeError) as error:
            self._answer(400, {"error": str(error)})

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(port: int, path: Path) -> None:
    """Serve until interrupted."""
    Handler.board = Board(path)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"board at http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    port, file, *_ = [*sys.argv[1:], *("8080", "board.json")[len(sys.argv) - 1 :]]
    main(int(port), Path(file))
