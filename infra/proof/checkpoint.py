"""Checkpoints: the hash of a log at a position, signed.

Write access to the broker suffices to write a whole new chain of hashes. A checkpoint that is kept elsewhere proves it:
the log must still have the same hash at the same position. Checking needs the public key alone, so auditors need no
secret, and the private key can be kept where no writer of the log can read it.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.untrusted_json import parse_json_object
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
    """A file is not a checkpoint that this key signed; the message is one line."""


class Checkpoint(NamedTuple):
    """A log up to a position."""

    pool: str
    stream: str
    position: int
    events: int
    """How many events the log had up to there."""
    hash: str
    """The `Custody-Hash` of the event at the position; it covers all events before."""
    time: str
    """Time of that event."""
    made_at: str

    def signed(self, key: Ed25519PrivateKey) -> dict[str, Any]:
        """Return the checkpoint as JSON has it, with its signature."""
        said = {"format": FORMAT, "version": VERSION, **self._asdict(), "key_id": key_id(key.public_key())}
        return {**said, "signature": base64.b64encode(key.sign(canonical(said))).decode()}


def canonical(said: dict[str, Any]) -> bytes:
    """Return the bytes that are signed: the object as JSON in ASCII, keys sorted, without blanks."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def read_checkpoint(path: Path, key: Ed25519PublicKey) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises:
        CheckpointError: the file is not one, or its signature is not the key's.
    """
    found: dict[str, Any] = {}
    with suppress(ValueError):
        found = parse_json_object(_read(path))
    if found.get("format") != FORMAT:
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
