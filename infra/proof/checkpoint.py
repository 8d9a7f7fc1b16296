"""Checkpoints: what a log's hash was at a position, signed.

Whoever can write to the broker can write a whole new chain of hashes. A checkpoint that is kept elsewhere shows it: the
log must still have the same hash at the same position. To check one takes the public key alone, so auditors need no
secret, and the private key can stay where nobody who may rewrite the log comes near it.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from infra.proof.signing import key_id, signed_by

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = "custody-checkpoint"
VERSION = 1
_LONGEST_FILE = 64 * 1024
_TEXTS = ("pool", "stream", "hash", "time", "made_at", "key_id", "signature")
_NUMBERS = ("position", "events")


class CheckpointError(Exception):
    """It is no checkpoint, or not one that this key signed; one line says why."""


class Checkpoint(NamedTuple):
    """What a log had come to."""

    pool: str
    stream: str
    position: int
    events: int
    """How many events the log held up to there."""
    hash: str
    """What the event at the position carries: it covers all of them."""
    time: str
    """Of that event."""
    made_at: str

    def signed(self, key: Ed25519PrivateKey) -> dict[str, Any]:
        """Return the checkpoint as JSON has it, with its signature."""
        said = {"format": FORMAT, "version": VERSION, **self._asdict(), "key_id": key_id(key.public_key())}
        return {**said, "signature": base64.b64encode(key.sign(canonical(said))).decode()}


def canonical(said: dict[str, Any]) -> bytes:
    """Return what is signed: the object as JSON in ASCII, its keys in order, nothing between the tokens."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def read_checkpoint(path: Path, key: Ed25519PublicKey) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises:
        CheckpointError: it is none, or the key did not sign it as it is.
    """
    found: Any = None
    with suppress(ValueError, RecursionError):
        found = json.loads(_read(path))
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint")
    if found.get("version") != VERSION:
        raise CheckpointError(f"{path} has format version {found.get('version')}; this software reads {VERSION}")
    if not all(isinstance(found.get(name), str) for name in _TEXTS) or not all(
        type(found.get(name)) is int for name in _NUMBERS
    ):
        raise CheckpointError(f"{path} is no checkpoint: it is incomplete")
    said = {name: value for name, value in found.items() if name != "signature"}
    signature = b""
    with suppress(ValueError):
        signature = base64.b64decode(found["signature"], validate=True)
    if not signed_by(key, signature, canonical(said)):
        why = "it was changed" if found["key_id"] == key_id(key) else "another key signed it"
        raise CheckpointError(f"the signature of {path} is wrong: {why}")
    return Checkpoint(*(found[name] for name in Checkpoint._fields))


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST_FILE)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
