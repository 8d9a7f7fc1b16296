"""Names of streams and of their subjects, encoded so that any broker accepts them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from uuid import UUID

from eventsourcing.persistence import DataError

if TYPE_CHECKING:
    from typing import Final

ROOT: Final = "es"
"""The first token of every subject; a user of the broker needs the right to publish to `es.>`."""

MAX_SUBJECT_LENGTH = 3_000
"""The broker disconnects a client whose protocol line exceeds 4,096 bytes, subject and reply included."""

_UUID = "u"
_TEXT = "s"


def stream_name(prefix: str, application: str, purpose: str) -> str:
    """Return the name of an application's stream; different arguments give different names."""
    return "-".join(_token(part).replace("-", "%2D") for part in (prefix, application, purpose))


class Subjects:
    """The subjects of one stream."""

    def __init__(self, stream: str) -> None:
        self.all = f"{ROOT}.{stream}.>"
        self._events = f"{ROOT}.{stream}.evt."
        self._tracking = f"{ROOT}.{stream}.trk."
        self._values = f"{ROOT}.{stream}.val."
        self.events = f"{self._events}>"

    def originator(self, originator_id: UUID | str) -> str:
        """Return the subject of all events of one originator, so that the broker's memory grows with originators only.

        A UUID and its text are two originators; each is read back as it was written.
        """
        if isinstance(originator_id, UUID):
            return f"{self._events}{_UUID}{originator_id.hex}"
        return _checked(f"{self._events}{_TEXT}{_token(originator_id)}", originator_id)

    def originator_id(self, subject: str) -> UUID | str | None:
        """Return the originator that the subject belongs to; None if it is not a subject of events."""
        if not subject.startswith(self._events):
            return None
        start = len(self._events)
        return _originator_id(subject[start:])

    def tracking(self, application: str) -> str:
        """Return the subject of the tracking of an upstream application."""
        return _checked(f"{self._tracking}{_TEXT}{_token(application)}", application)

    def value(self, key: str) -> str:
        """Return the subject of a view's value."""
        return _checked(f"{self._values}{_TEXT}{_token(key)}", key)


@lru_cache(10_000)
def _originator_id(token: str) -> UUID | str:
    """Return what a token stands for; cached, because events of one originator follow each other."""
    return UUID(hex=token[1:]) if token[0] == _UUID else unquote(token[1:], errors="surrogatepass")


def _token(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass").replace(".", "%2E")


def _checked(subject: str, text: str) -> str:
    if len(subject) > MAX_SUBJECT_LENGTH:
        raise DataError(f"too long to be part of a subject: {text[:40]!r}… ({len(text)} characters)")
    return subject
