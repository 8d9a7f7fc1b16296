"""What the system says when there is no room for what is to be written, or the device does not take it."""

import errno

NOT_WRITTEN = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS") if hasattr(errno, name)
)
"""Error numbers that only writing a file comes to; a network has others."""
