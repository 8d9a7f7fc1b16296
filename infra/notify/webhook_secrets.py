"""The addresses and secrets of endpoints, from files and the environment; and signatures as Standard Webhooks says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import TYPE_CHECKING, NamedTuple

from infra.host.small_files import read_secret
from infra.notify.notify_config import NotifyConfigError, check_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from infra.notify.notify_config import EndpointConfig

_PREFIX = "whsec_"
_SHORTEST_BYTES, _LONGEST_BYTES = 24, 64


class Access(NamedTuple):
    """How an endpoint is reached. Neither part belongs into a message or a log."""

    url: str
    secrets: tuple[bytes, ...]
    """Each signs; none: nothing is signed."""

    def __repr__(self) -> str:
        return "Access(…)"

    @property
    def digest(self) -> str:
        """A digest of the address, by which a new address is noticed."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


def access_of(endpoint: EndpointConfig) -> Access:
    """Return the address and the secrets of an endpoint. Raises NotifyConfigError."""
    where = f"endpoint {endpoint.name}"
    url = endpoint.url
    if url is None:
        named = f"{where}: {'url_env' if endpoint.url_env is not None else 'url_file'}"
        url = _read(endpoint.url_env, endpoint.url_file, named).strip()
        try:
            check_url(url, allow_http=endpoint.allow_http)
        except ValueError as error:
            raise NotifyConfigError(f"{named}: {error}") from None
    if endpoint.secret_env is None and endpoint.secret_file is None:
        return Access(url, ())
    named = f"{where}: {'secret_env' if endpoint.secret_env is not None else 'secret_file'}"
    words = _read(endpoint.secret_env, endpoint.secret_file, named).split()
    if not words:
        raise NotifyConfigError(f"{named}: holds no secret")
    return Access(url, tuple(_secret(word, named) for word in words))


def signature(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: one signature for each secret, separated by blanks."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _read(variable: str | None, path: Path | None, named: str) -> str:
    if path is not None:
        try:
            return read_secret(path, NotifyConfigError).decode()
        except UnicodeDecodeError:
            raise NotifyConfigError(f"{named}: {path} is no text") from None
    found = os.environ.get(variable or "")
    if not found:
        raise NotifyConfigError(f"{named}: the environment has no {variable}")
    return found


def _secret(word: str, named: str) -> bytes:
    encoded = word.removeprefix(_PREFIX).rstrip("=")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if not word.startswith(_PREFIX) or not _SHORTEST_BYTES <= len(secret) <= _LONGEST_BYTES:
        raise NotifyConfigError(
            f"{named}: a secret is {_PREFIX} and {_SHORTEST_BYTES} to {_LONGEST_BYTES} bytes in base64"
        )
    return secret
