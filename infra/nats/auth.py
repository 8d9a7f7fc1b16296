"""Credentials and TLS certificates for a connection, checked before connecting."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from infra.host.small_files import read_pem, read_secret
from infra.nats.broker_errors import CredentialsError

if TYPE_CHECKING:
    from pathlib import Path

_USER_SEED = b"SU"
_JWT, _SEED = b"NATS USER JWT", b"USER NKEY SEED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates in PEM files; by default the system's authorities and no certificate of the client."""

    ca: Path | None = None
    """Authorities for checking the broker's certificate, instead of the system's."""
    cert: Path | None = None
    """The client's certificate, for a broker that requires one."""
    key: Path | None = None
    """The key of `cert`, if it is not in the same file."""

    def context(self) -> ssl.SSLContext:
        """Return the context for connections; raises CredentialsError."""
        if self.key is not None and self.cert is None:
            raise CredentialsError(f"{self.key} is the key of no certificate: name that too")
        for path in (self.ca, self.cert, self.key):
            if path is not None:
                read_pem(path, CredentialsError)
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError:
            raise CredentialsError(f"{self.ca} holds no certificate of an authority (PEM)") from None
        if self.cert is not None:
            try:
                # Without a password function, OpenSSL would ask for an encrypted key's passphrase at the terminal.
                context.load_cert_chain(self.cert, self.key, password=lambda: "")
            except (ssl.SSLError, ValueError):
                files = f"{self.cert} and {self.key}" if self.key is not None else self.cert
                raise CredentialsError(
                    f"{files}: no certificate with its own key, in PEM and without a passphrase"
                ) from None
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Credentials: user and password, a token, a `.creds` file, an nkey seed, or a client certificate.

    All are None for a broker without users.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    creds: Path | None = None
    nkey: Path | None = None
    """A file with the seed of a user's nkey."""
    tls: Tls | None = None
    plaintext: bool = False
    """Whether a password or token may be sent unencrypted to another machine."""
    inbox_prefix: str | None = None
    """Where answers are heard; None: by the user's name, as `infra/broker/users.py` permits it."""

    @property
    def anonymous(self) -> bool:
        """Whether there are no credentials."""
        named = (self.user, self.token, self.creds, self.nkey, self.tls.cert if self.tls else None)
        return all(each is None for each in named)

    def check(self) -> None:
        """Raise CredentialsError if a file cannot be used."""
        if self.creds is not None:
            read_creds(self.creds)
        if self.nkey is not None:
            read_seed(self.nkey)
        if self.tls is not None:
            self.tls.context()


class Creds(NamedTuple):
    """The content of a `.creds` file."""

    jwt: bytes
    seed: bytes


def read_creds(path: Path) -> Creds:
    """Return a user's JWT and seed; raises CredentialsError."""
    lines = [line.strip() for line in read_secret(path, CredentialsError).splitlines()]
    parts = []
    for title in (_JWT, _SEED):
        begins = next((number for number, line in enumerate(lines) if b"BEGIN " + title in line), None)
        part = lines[begins + 1] if begins is not None and begins + 1 < len(lines) else b""
        if not part or part.startswith(b"-"):
            raise CredentialsError(f"{path} is no .creds file: it holds no {title.decode()}")
        parts.append(part)
    _check_seed(parts[1], path)
    return Creds(*parts)


def read_seed(path: Path) -> bytes:
    """Return the seed of a user's nkey; raises CredentialsError."""
    seed = read_secret(path, CredentialsError).strip()
    _check_seed(seed, path)
    return seed


def _check_seed(seed: bytes, path: Path) -> None:
    import nkeys  # type: ignore[import-untyped] # has no types  # noqa: PLC0415 - rarely used, and slow to import

    try:
        nkeys.from_seed(bytearray(seed)).wipe()
    except (nkeys.NkeysError, ValueError, LookupError):
        usable = False
    else:
        usable = seed.startswith(_USER_SEED)
    if not usable:
        raise CredentialsError(f"{path} holds no seed of a user's nkey: such a one begins with SU")
