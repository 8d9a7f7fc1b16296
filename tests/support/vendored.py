"""Libraries of others that are kept in the checkout, as their README's table of hashes says."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def assert_as_published(directory: Path) -> None:
    """Fail unless the directory holds the files that its README lists, with their hashes, and no others."""
    page = (directory / "README.md").read_text(encoding="utf-8")
    hashes = dict(re.findall(r"(?m)^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", page))
    files = {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert files == hashes
