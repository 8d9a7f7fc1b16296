"""Who asks, and what they may do: anyone on this machine, or those whom a file of tokens names.

A session is a cookie that proves a token without holding it: name, a number of its own, end, and a digest keyed with
the token. So it survives a restart of the dashboard, and ends as soon as the token leaves the file.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from infra.host.small_files import read_own_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VIEWER, OPERATOR = "viewer", "operator"
ROLES = (VIEWER, OPERATOR)
MIN_TOKEN_CHARS = 20
"""Shorter ones could be guessed."""
MAX_PEOPLE = 200
SESSION_S = 12 * 3600
"""How long a session lasts after it was renewed last. A page that is open renews it."""
RENEW_S = SESSION_S // 4
"""A session that is so old is renewed."""
MAX_LOGGED_OUT = 10_000
"""Ended sessions that are remembered until their time is over; beyond that the oldest are forgotten."""
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
    by_token: bool
    """Whether they logged in, and can log out."""
    renews: bool = False
    """Whether it is time to renew their session."""


class People(Protocol):
    """Tells who asks."""

    def known_by(self, cookie: str | None) -> Person | None:
        """Return the person whose session a cookie proves; None: a login is needed."""
        ...

    def login(self, token: str) -> str | None:
        """Return the cookie of a new session, None for a token that is unknown."""
        ...

    def renewed(self, cookie: str | None) -> str | None:
        """Return the cookie with which a session goes on, None for one that cannot be renewed."""
        ...

    def logout(self, cookie: str | None) -> None:
        """End the session that a cookie proves, in every browser that has it."""
        ...


class AnyoneHere:
    """One person for every request, for a page that only this machine reaches."""

    def __init__(self, name: str) -> None:
        self._person = Person(name, may_act=True, csrf=secrets.token_urlsafe(32), by_token=False)

    def known_by(self, cookie: str | None) -> Person:  # noqa: ARG002 - the protocol's signature
        """Return the one person."""
        return self._person

    def login(self, token: str) -> None:  # noqa: ARG002 - the protocol's signature
        """None: there is nothing to log in to."""
        return

    def renewed(self, cookie: str | None) -> None:  # noqa: ARG002 - the protocol's signature
        """None: there are no sessions."""
        return

    def logout(self, cookie: str | None) -> None:
        """Do nothing: there are no sessions."""


class _Session(NamedTuple):
    """What a cookie proves."""

    name: str
    number: str
    """Of this session, in all its renewals."""
    end_s: int


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
        self._logged_out: dict[str, int] = {}
        """Ended sessions by number, each with the time after which none of its cookies is valid."""
        self._refresh()

    def known_by(self, cookie: str | None) -> Person | None:
        """Return the person whose session a cookie proves; None: a login is needed. Raises TokenFileError."""
        session = self._session(cookie)
        if session is None:
            return None
        entry = self._entries[session.name]
        csrf = _mac(entry.token, "csrf", f"{session.name}.{session.number}")
        renews = session.end_s - self._now_s() <= SESSION_S - RENEW_S
        return Person(session.name, entry.role == OPERATOR, csrf, by_token=True, renews=renews)

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
        return self._cookie(name, secrets.token_hex(16), entry)

    def renewed(self, cookie: str | None) -> str | None:
        """Return the cookie with which a session goes on, None for one that is over. Raises TokenFileError."""
        session = self._session(cookie)
        return None if session is None else self._cookie(session.name, session.number, self._entries[session.name])

    def logout(self, cookie: str | None) -> None:
        """End the session that a cookie proves, in every browser that has it. Raises TokenFileError."""
        session = self._session(cookie)
        if session is None:
            return
        now_s = self._now_s()
        # A renewal of it that another browser got ends by then, too.
        self._logged_out[session.number] = int(now_s) + SESSION_S + 1
        while self._logged_out:
            oldest, over_s = next(iter(self._logged_out.items()))
            if over_s > now_s and len(self._logged_out) <= MAX_LOGGED_OUT:
                break
            del self._logged_out[oldest]

    def _cookie(self, name: str, number: str, entry: _Entry) -> str:
        signed = f"{name}.{number}.{int(self._now_s()) + SESSION_S}"
        return f"{signed}.{_mac(entry.token, 'session', signed)}"

    def _session(self, cookie: str | None) -> _Session | None:
        """Return the session that a cookie proves; None if it proves none."""
        self._refresh()
        if cookie is None or len(cookie) > _COOKIE_CHARS or not cookie.isascii():
            return None
        signed, _, mac = cookie.rpartition(".")
        # A name may have dots.
        head, _, end = signed.rpartition(".")
        name, _, number = head.rpartition(".")
        entry = self._entries.get(name)
        if entry is None or not end.isdigit() or int(end) <= self._now_s() or number in self._logged_out:
            return None
        if not hmac.compare_digest(mac, _mac(entry.token, "session", signed)):
            return None
        return _Session(name, number, int(end))

    def _refresh(self) -> None:
        try:
            found = self._file.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._entries = _parsed(read_own_secret(self._file, TokenFileError).decode(), self._file)
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
