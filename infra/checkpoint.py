"""Checkpoints: what a log's hash was at a position, signed with a key of one's own.

Whoever can write to the broker can write a whole new chain of hashes. A checkpoint that is kept elsewhere shows it: the
log must still have the same hash at the same position. The key signs and checks alike (HMAC), so it is to be kept from
those who could rewrite the log.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "custody-checkpoint"
VERSION = 1
KEY_BYTES = 32
_LONGEST_FILE = 64 * 1024


class CheckpointError(Exception):
    """It is no checkpoint, or no key, or the two do not fit; one line says why."""


class Checkpoint(NamedTuple):
    """What a log's chain of hashes had come to."""

    pool: str
    position: int
    hash: str
    time: str
    """Of the event at the position."""
    made_at: str

    def document(self, key: bytes) -> dict[str, Any]:
        """Return the checkpoint as JSON has it, signed with HMAC-SHA256."""
        return {
            "format": FORMAT,
            "version": VERSION,
            **self._asdict(),
            "key_id": _key_id(key),
            "signature": self.signature(key),
        }

    def signature(self, key: bytes) -> str:
        """Return what the key makes of the checkpoint."""
        signed = json.dumps([FORMAT, VERSION, *self], separators=(",", ":")).encode()
        return hmac.new(key, signed, hashlib.sha256).hexdigest()


def read_checkpoint(path: Path, key: bytes) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises:
        CheckpointError: it is none, or the key did not sign it.
    """
    found: Any = None
    with suppress(ValueError):
        found = json.loads(_read(path))
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint")
    if found.get("version") != VERSION:
        raise CheckpointError(f"{path} has format version {found.get('version')}; this software reads {VERSION}")
    position, texts = found.get("position"), [found.get(name) for name in ("pool", "hash", "time", "made_at")]
    if not isinstance(position, int) or not all(isinstance(each, str) for each in texts):
        raise CheckpointError(f"{path} is no checkpoint: it is incomplete")
    checkpoint = Checkpoint(found["pool"], position, found["hash"], found["time"], found["made_at"])
    if not hmac.compare_digest(str(found.get("signature")).encode(), checkpoint.signature(key).encode()):
        by = "another key signed it" if found.get("key_id") != _key_id(key) else "it was changed"
        raise CheckpointError(f"the signature of {path} is wrong: {by}")
    return checkpoint


def read_key(path: Path) -> bytes:
    """Return the key in a file; raises CheckpointError."""
    try:
        key = bytes.fromhex(_read(path).strip())
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        raise CheckpointError(f"{path} is no key: {2 * KEY_BYTES} or more hexadecimal digits")
    return key


def ensure_key(path: Path) -> bytes:
    """Return the key in a file, which is made, for its owner's eyes only, if there is none; raises CheckpointError."""
    if not path.exists():
        key = secrets.token_bytes(KEY_BYTES)
        try:
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(key.hex() + "\n", encoding="ascii")
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror}") from None
    return read_key(path)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST_FILE)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"custody key id\n" + key).hexdigest()[:16]
