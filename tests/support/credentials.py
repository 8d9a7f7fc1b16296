"""Credentials for tests: nkeys, JWTs of an operator's making, certificates of an authority of our own."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import nkeys  # type: ignore[import-untyped] # has no types
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.broker.users import BrokerUser
from tests.support.secret_files import write_secret

ISSUED_AT = 1_700_000_000
NO_LIMIT = {"subs": -1, "data": -1, "payload": -1}
ACCOUNT_LIMITS = {**NO_LIMIT, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
JETSTREAM_LIMITS = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


_SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
"""What an authority's certificate has to say of its key; Python checks it from 3.13 on."""


class Nkey(NamedTuple):
    """A key pair as NATS writes it."""

    seed: bytes
    public: str

    @classmethod
    def made(cls, prefix: int) -> Nkey:
        seed = nkeys.encode_seed(os.urandom(32), prefix)
        return cls(bytes(seed), nkeys.from_seed(bytearray(seed)).public_key.decode())


def user_nkey() -> Nkey:
    return Nkey.made(nkeys.PREFIX_BYTE_USER)


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(issuer: Nkey, subject: str, name: str, claims: dict[str, Any], **more: Any) -> str:
    """A JWT as NATS wants them."""
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {"iat": ISSUED_AT, "iss": issuer.public, "name": name, "sub": subject, "nats": claims, **more}
    body["jti"] = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    text = f"{_coded(json.dumps(head).encode())}.{_coded(json.dumps(body).encode())}"
    signature = nkeys.from_seed(bytearray(issuer.seed)).sign(text.encode())
    return f"{text}.{_coded(signature)}"


class Operator:
    """An operator with a system account and one account that has JetStream."""

    def __init__(self) -> None:
        self._key = Nkey.made(nkeys.PREFIX_BYTE_OPERATOR)
        self._system, self._account = (Nkey.made(nkeys.PREFIX_BYTE_ACCOUNT) for _ in range(2))

    def config(self) -> str:
        """What a server has to know of it."""
        own = {"type": "operator", "version": 2, "system_account": self._system.public}
        accounts = {
            self._system.public: self._account_jwt(self._system, "SYS", ACCOUNT_LIMITS),
            self._account.public: self._account_jwt(self._account, "CUSTODY", {**ACCOUNT_LIMITS, **JETSTREAM_LIMITS}),
        }
        preload = "\n".join(f"  {public}: {text}" for public, text in accounts.items())
        operator = jwt(self._key, self._key.public, "OP", own)
        return (
            f"operator: {operator}\nsystem_account: {self._system.public}\n"
            f"resolver: MEMORY\nresolver_preload: {{\n{preload}\n}}\n"
        )

    def _account_jwt(self, key: Nkey, name: str, limits: dict[str, Any]) -> str:
        return jwt(self._key, key.public, name, {"type": "account", "version": 2, "limits": limits})

    def creds(self, user: BrokerUser, path: Path, **more: Any) -> Path:
        """Write a `.creds` file that lets in one user with its rights."""
        key = user_nkey()
        claims = {
            "type": "user", "version": 2, **NO_LIMIT,
            "pub": {"allow": list(user.publish)}, "sub": {"allow": list(user.subscribe)},
        }  # fmt: skip
        text = jwt(self._account, key.public, user.name, claims, **more)
        return write_secret(
            path,
            f"-----BEGIN NATS USER JWT-----\n{text}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{key.seed.decode()}\n------END USER NKEY SEED------\n",
        )


class Authority:
    """An authority that signs certificates for brokers on this machine and for clients."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        builder = self._builder(self._name, self._key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
        self.file = directory / "ca.pem"
        self.file.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def signs(self, name: str) -> tuple[Path, Path]:
        """Write a certificate and its key, for 127.0.0.1 and for clients."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._builder(subject, key).add_extension(here, critical=False).sign(self._key, hashes.SHA256())
        files = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_secret(
            files[1],
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        return files


def lock(key: Path, locked: Path) -> None:
    """Write a private key once more, under a passphrase."""
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    write_secret(
        locked,
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hush"),
        ),
    )
