"""Ed25519 keys in PEM files: the private one signs, the public one checks signatures."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from infra.host.small_files import read_pem, read_small

if TYPE_CHECKING:
    from pathlib import Path

_PRIVATE_MODE, _PUBLIC_MODE = 0o600, 0o644


class KeyFileError(Exception):
    """A key cannot be made, read or used; the message is one line."""


def make_keys(private: Path, public: Path, passphrase: bytes | None) -> str:
    """Write a new pair of keys to two new files; return the key's id.

    The private key's file is readable by its owner alone, and encrypted if there is a passphrase.

    Raises:
        KeyFileError: a file exists already, or cannot be written.
    """
    for path in (private, public):
        if path.exists():
            raise KeyFileError(f"{path} is there already, and a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    _write(private, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, protection), _PRIVATE_MODE)
    try:
        text = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        _write(public, text, _PUBLIC_MODE)
    except KeyFileError:
        private.unlink()
        raise
    return key_id(key.public_key())


def read_private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Return the key in a file; raises KeyFileError."""
    data = read_pem(path, KeyFileError)
    if passphrase and b"ENCRYPTED" not in data:
        passphrase = None
    try:
        key = serialization.load_pem_private_key(data, passphrase)
    except TypeError:
        raise KeyFileError(f"{path} is protected by a passphrase, and none was given") from None
    except (ValueError, UnsupportedAlgorithm):
        why = "the passphrase does not open it" if passphrase else "it is no private key (PEM, Ed25519)"
        raise KeyFileError(f"cannot use {path}: {why}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"cannot use {path}: it is no private key (PEM, Ed25519)")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the key in a file; raises KeyFileError."""
    key: object = None
    with suppress(ValueError, UnsupportedAlgorithm):
        key = serialization.load_pem_public_key(read_small(path, KeyFileError))
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"cannot use {path}: it is no public key (PEM, Ed25519)")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Return the id of a key: the first 16 digits of its SHA-256."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def signed_by(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    """Return whether the key made this signature of this text."""
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        path.touch(mode=mode, exist_ok=False)
        try:
            path.write_bytes(data)
        except OSError:
            path.unlink()
            raise
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror}") from None
