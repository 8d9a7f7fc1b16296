"""The mark by which part of an imported log is told from the whole.

A stream that `custody import` creates has the last position of the export in its metadata, from the beginning. So it
is whole as soon as it ends there, and no further step has to be made, or can be missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

IMPORT_LAST = "custody-import-last"
"""Key in a stream's metadata: the last position of the export."""
IMPORT_ROOT = "custody-import-root"
"""Key in a stream's metadata: the hash of the export's last message."""
_DIGITS = 19


def import_metadata(last: int, root: str) -> dict[str, str]:
    """Return the metadata of a stream that is made to import a log that ends at a position, with a hash."""
    return {IMPORT_LAST: str(last), IMPORT_ROOT: root}


def imported_last(info: Mapping[str, Any]) -> int:
    """Return the last position of the export that a stream was made for, 0 if it was not made by an import."""
    metadata = info["config"].get("metadata")
    text = str(metadata.get(IMPORT_LAST, "")) if isinstance(metadata, dict) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0


def unfinished_import(info: Mapping[str, Any], url: str) -> str | None:
    """Return in one line that a stream holds only part of a log; None if it is whole."""
    last, state = imported_last(info), info["state"]
    if int(state["last_seq"]) >= last:
        return None
    return (
        f"stream {info['config']['name']} at {url} ends at position {state['last_seq']}, and the log that it was made "
        f"for at {last}: an import is under way, or was broken off; `custody import` of the same file goes on with it"
    )
