"""Who asks, and what they may do: anyone on this machine, or those whom a file of tokens names.

A session is a cookie that proves a token without holding it: name, end and a digest keyed with the token. So it
survives a restart of the dashboard, and ends as soon as the token leaves the file.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from infra.host.small_files import read_own

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VIEWER, OPERATOR = "viewer", "operator"
ROLES = (VIEWER, OPERATOR)
MIN_TOKEN_CHARS = 20
"""Shorter ones could be guessed."""
MAX_PEOPLE = 200
SESSION_S = 30 * 86_400
"""How long a login lasts."""
_PERSON = re.compile(r"[!-9;-~]{1,64}")
"""Printable ASCII without blanks and colons: it becomes the actor `ops/<person>`."""
_TOKEN = re.compile(r"[!-~]+")
_COOKIE_CHARS = 400


class TokenFileError(Exception):
    """A file of tokens cannot be used; the message is one line."""


class Person(NamedTuple):
    """Who asks."""

    name: str
    """Recorded with what they do, as `ops/<name>`; empty: no name is known."""
    may_act: bool
    csrf: str
    """What a request that acts has to carry: a page of another origin cannot read it."""


class People(Protocol):
    """Tells who asks."""

    def known_by(self, cookie: str | None) -> Person | None:
        """Return the person whose session a cookie proves; None: a login is needed."""
        ...

    def login(self, token: str) -> str | None:
        """Return the cookie of a new session, None for a token that is unknown."""
        ...


class AnyoneHere:
    """One person for every request, for a page that only this machine reaches."""

    def __init__(self, name: str) -> None:
        self._person = Person(name, may_act=True, csrf=secrets.token_urlsafe(32))

    def known_by(self, cookie: str | None) -> Person:  # noqa: ARG002 - the protocol's signature
        """Return the one person."""
        return self._person

    def login(self, token: str) -> None:  # noqa: ARG002 - the protocol's signature
        """None: there is nothing to log in to."""
        return


class _Entry(NamedTuple):
    role: str
    token: str


class TokenHolders:
    """Those whom a file names, one on each line: `name:role:token`. The file is read again when it changes."""

    def __init__(self, file: Path, now_s: Callable[[], float] = time.time) -> None:
        """Read the file. Raises TokenFileError."""
        self._file = file
        self._now_s = now_s
        self._stamp: tuple[int, int] | None = None
        self._entries: dict[str, _Entry] = {}
        self._refresh()

    def known_by(self, cookie: str | None) -> Person | None:
        """Return the person whose session a cookie proves; None: a login is needed. Raises TokenFileError."""
        self._refresh()
        if cookie is None or len(cookie) > _COOKIE_CHARS or not cookie.isascii():
            return None
        signed, _, mac = cookie.rpartition(".")
        name, _, end = signed.rpartition(".")
        entry = self._entries.get(name)
        if entry is None or not end.isdigit() or int(end) <= self._now_s():
            return None
        if not hmac.compare_digest(mac, _mac(entry.token, "session", signed)):
            return None
        return Person(name, entry.role == OPERATOR, _mac(entry.token, "csrf", signed))

    def login(self, token: str) -> str | None:
        """Return the cookie of a new session, None for a token that is unknown. Raises TokenFileError."""
        self._refresh()
        offered = token.encode()
        found = None
        # Every token is compared, so that the time tells nothing.
        for name, entry in self._entries.items():
            if hmac.compare_digest(offered, entry.token.encode()):
                found = name, entry
        if found is None:
            return None
        name, entry = found
        signed = f"{name}.{int(self._now_s()) + SESSION_S}"
        return f"{signed}.{_mac(entry.token, 'session', signed)}"

    def _refresh(self) -> None:
        try:
            found = self._file.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._entries = _parsed(read_own(self._file, TokenFileError).decode(), self._file)
                self._stamp = stamp
        except OSError as error:
            raise TokenFileError(f"cannot read {self._file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise TokenFileError(f"{self._file} is no text in UTF-8") from None


def _parsed(text: str, file: Path) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        role, _, token = rest.partition(":")
        problem = _problem(name, role, token, entries)
        if problem is not None:
            raise TokenFileError(f"{file}, line {number}: {problem}")
        entries[name] = _Entry(role, token)
    if not entries:
        raise TokenFileError(f"{file} names no person; a line is name:role:token")
    return entries


def _problem(name: str, role: str, token: str, entries: dict[str, _Entry]) -> str | None:
    if _PERSON.fullmatch(name) is None:
        return "a line is name:role:token, and a name has 1 to 64 printable characters without blanks"
    if role not in ROLES:
        return f"the role of {name} should be one of {', '.join(ROLES)}"
    if len(token) < MIN_TOKEN_CHARS or _TOKEN.fullmatch(token) is None:
        return f"the token of {name} should have at least {MIN_TOKEN_CHARS} printable characters and no blank"
    if name in entries:
        return f"{name} has a line already"
    if any(hmac.compare_digest(token, each.token) for each in entries.values()):
        return f"the token of {name} is another person's, too"
    return f"more than {MAX_PEOPLE} people" if len(entries) >= MAX_PEOPLE else None


def _mac(token: str, purpose: str, signed: str) -> str:
    return hmac.new(token.encode(), f"custody-dashboard {purpose} {signed}".encode(), hashlib.sha256).hexdigest()
