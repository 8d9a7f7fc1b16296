"""A moment that an address names: by a position of the log, or by a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custody_dashboard.past.past_states import Moment
from custody_dashboard.web.api_error import bad_request
from custody_dashboard.web.parameters import read_moment
from domain.timestamps import EPOCH
from handlers.follower.past import position_of
from handlers.memory.positions import time_at

if TYPE_CHECKING:
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


async def moment_at(follower: Follower, position: int, name: str) -> Moment:
    """Return the moment of a position. Raises ApiError, LogUnavailableError."""
    if position > follower.position:
        raise bad_request(f"{name}: position {position} is past the end of the log, {follower.position}")
    first = await follower.log.first_position()
    if 0 < position < first - 1:
        raise bad_request(f"{name}: position {position} is before the beginning of the log, {first}")
    at = await time_at(follower.log, follower.codec, position, above=first - 1)
    return Moment(position, at or EPOCH)
