"""A moment that an address names: by a position of the log, or by a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custody_dashboard.past.past_states import Moment
from custody_dashboard.web.api_error import bad_request
from custody_dashboard.web.parameters import read_moment
from domain.timestamps import EPOCH, format_timestamp
from handlers.follower.past import position_of
from handlers.memory.positions import time_at

if TYPE_CHECKING:
    from custody_dashboard.web.parameters import Parameters
    from handlers.follower.follower import Follower

_LONGEST_POSITION = 19


async def moment_of(follower: Follower, text: str, name: str) -> Moment:
    """Return the moment that a text means. Raises ApiError, LogUnavailableError."""
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_POSITION:
        return await moment_at(follower, int(text), name)
    at = read_moment(text, name)
    if at > follower.now:
        raise bad_request(f"{name} has not come yet")
    return Moment(min(await position_of(follower, at), follower.position), at)


async def moment_asked(follower: Follower, given: Parameters) -> Moment | None:
    """Return the moment that `position`, `at` or both name; None without them.

    Both together name a time at which the log ended at the position: ages are those of the time, and the position has
    not to be searched for. Raises ApiError, LogUnavailableError.
    """
    position, at = given.position("position"), given.raw("at")
    if position is None:
        return None if at is None else await moment_of(follower, at, "at")
    moment = await moment_at(follower, position, "position")
    if at is None:
        return moment
    time = read_moment(at, "at")
    following = None if position >= follower.position else await time_at(follower.log, follower.codec, position + 1)
    ends_before = follower.now if following is None else following
    if not moment.now <= time <= ends_before:
        raise bad_request(f"at {format_timestamp(time)} the log did not end at position {position}; name one of them")
    return moment._replace(now=time)


async def moment_at(follower: Follower, position: int, name: str) -> Moment:
    """Return the moment of a position. Raises ApiError, LogUnavailableError."""
    if position > follower.position:
        raise bad_request(f"{name}: position {position} is past the end of the log, {follower.position}")
    first = await follower.log.first_position()
    if 0 < position < first - 1:
        raise bad_request(f"{name}: position {position} is before the beginning of the log, {first}")
    at = await time_at(follower.log, follower.codec, position, above=first - 1)
    return Moment(position, at or EPOCH)
