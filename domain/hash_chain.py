"""The chain of hashes that ties every event to all before it, as the wire contract (docs/contract.md) specifies."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GENESIS_HASH = "0" * 64
"""The previous hash of a log's first event."""
HASH_HEADER = "Custody-Hash"


def chain_hash(previous: str, position: int, subject: str, body: bytes) -> str:
    """Return the hex SHA-256 of the previous hash, the position, the subject and the body, joined by newlines."""
    return hashlib.sha256(f"{previous}\n{position}\n{subject}\n".encode() + body).hexdigest()


def hash_in(headers: Mapping[str, str]) -> str:
    """Return the hash that a stored message carries; `GENESIS_HASH` if it carries none."""
    return headers.get(HASH_HEADER, GENESIS_HASH)
