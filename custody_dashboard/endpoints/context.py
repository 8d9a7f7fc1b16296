"""What all endpoints share: the pool as it is and was, and who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from custody_dashboard.past.past_states import PastStates
from custody_dashboard.past.timeline import Timeline
from custody_dashboard.web.api_error import ApiError, unavailable
from custody_dashboard.web.people import TokenFileError
from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from custody_dashboard.watch.pool_watch import PoolWatch
    from custody_dashboard.web.people import People, Person
    from handlers.memory.memory import Memory
    from handlers.ports import Steady

PAST_IDLE_S = 300.0
"""Rebuilt states are dropped when none was asked for in so long."""


class Rights(NamedTuple):
    """What the page of a person has to know anew when it changes."""

    why_not_act: str | None
    renews: bool
    """Whether it is time to renew their session."""


class Context:
    """The pool, and the people."""

    def __init__(self, watch: PoolWatch, people: People, *, read_only: bool) -> None:
        self.watch = watch
        self.people = people
        self._read_only = read_only
        self.cookie = f"custody-dashboard-{watch.settings.pool}"
        """Name of the session's cookie. Dashboards of other pools on the same machine are on the same host."""
        self._of: Memory | None = None
        """The memory of the log that what follows is of; another one is of another log, or over another connection."""
        self._past: PastStates | None = None
        self._timeline: Timeline | None = None
        self._looked_back_at: Steady | None = None

    def person(self, request: Request) -> Person:
        """Return who asks. Raises ApiError if a login is needed."""
        try:
            person = self.people.known_by(request.cookies.get(self.cookie))
        except TokenFileError as error:
            raise unavailable(str(error)) from None
        if person is None:
            raise ApiError(401, "login_needed", "log in with your token")
        return person

    def renewed(self, request: Request, person: Person) -> str | None:
        """Return the cookie with which a person's session goes on, None if it is not time for it. Raises ApiError."""
        if not person.renews:
            return None
        try:
            return self.people.renewed(request.cookies.get(self.cookie))
        except TokenFileError as error:
            raise unavailable(str(error)) from None

    def rights(self, request: Request) -> Callable[[], Rights | None]:
        """Return what tells at any later time what a request's person may do; None: they may not even look any more."""
        cookie = request.cookies.get(self.cookie)

        def now() -> Rights | None:
            try:
                person = self.people.known_by(cookie)
            except TokenFileError:
                return None
            return None if person is None else Rights(self.why_not_act(person), person.renews)

        return now

    def why_not_act(self, person: Person) -> str | None:
        """Return why a person may do nothing to the pool, None if they may."""
        if self._read_only:
            return "this dashboard was started with --read-only"
        if not person.may_act:
            return f"the role of {person.name} is viewer"
        if self.watch.may_operate is None:
            return "it is not known yet whether the broker lets the dashboard's user send commands"
        if not self.watch.may_operate:
            return "the broker does not let the dashboard's user send commands"
        return None

    @property
    def past(self) -> PastStates:
        """The pool as it was. Raises UnwatchedError."""
        self.watch.linked()
        self._renew()
        if self._past is None:
            self._past = PastStates(self.watch.follower)
        self._looked_back_at = self.watch.clock.steady()
        return self._past

    @property
    def timeline(self) -> Timeline:
        """How busy the pool was when. Raises UnwatchedError."""
        self.watch.linked()
        self._renew()
        if self._timeline is None:
            self._timeline = Timeline(self.watch.follower.log, self.watch.follower.codec)
        return self._timeline

    def forget_idle(self) -> None:
        """Drop the rebuilt states if none was asked for lately."""
        at = self._looked_back_at
        if at is not None and seconds_between(at, self.watch.clock.steady()) > PAST_IDLE_S:
            self._past = self._looked_back_at = None

    def _renew(self) -> None:
        if self._of is not self.watch.follower.memory:
            self._of = self.watch.follower.memory
            self._past = self._timeline = None
