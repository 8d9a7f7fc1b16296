"""The system's errors when a disk is full or a device cannot be written to."""

import errno

NOT_WRITTEN = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS") if hasattr(errno, name)
)
"""Error numbers of writing to a file; none of them comes from a network."""
