"""The user that runs this process."""

from __future__ import annotations

import getpass


def user_name() -> str | None:
    """Return the user's name in printable ASCII, None if the system knows none."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return None
    return "".join(each for each in name if "!" <= each <= "~") or None
