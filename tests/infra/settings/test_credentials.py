"""Who one is to a real broker: nkeys, `.creds` files of an operator, certificates; and what is said of bad files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped] # has no types
import pytest
from nats.errors import Error as NatsError

from infra.broker.embedded import EmbeddedBroker
from infra.broker.users import OPERATOR, SERVICE_USERS, BrokerUser
from infra.nats.auth import Auth, Tls
from infra.nats.broker_errors import BrokerUnavailableError, CredentialsError
from infra.nats.connection import connect
from infra.nats.contract_client import CustodyClient
from infra.nats.library_client import Client
from infra.service.serving import PoolServer
from infra.settings.credentials import auth_for
from infra.settings.settings import Settings
from tests.infra.cli.conftest import invoke
from tests.support.credentials import Authority, Nkey, Operator, lock, user_nkey
from tests.support.own_server import own_server
from tests.support.secret_files import write_secret


def rights(user: BrokerUser) -> str:
    def listed(subjects: tuple[str, ...]) -> str:
        return ", ".join(f'"{each}"' for each in subjects)

    return f"permissions: {{ publish: [{listed(user.publish)}], subscribe: [{listed(user.subscribe)}] }}"


async def served(url: str, settings: Settings) -> None:
    """Serve a pool with these settings, and ask it something."""
    server = PoolServer(settings, url)
    await server.start(lambda user: auth_for(settings, user))
    try:
        asker = await connect(url, name="test", auth=auth_for(settings, "operator"))
        try:
            client = CustodyClient(asker.client, settings.pool)
            assert (await client.request("ops.submit", {"task_id": "T"}))["position"] == 3
        finally:
            await asker.close()
    finally:
        await server.stop()


async def test_a_pool_is_served_with_nkeys(tmp_path: Path) -> None:
    users = []
    for user in SERVICE_USERS:
        key = user_nkey()
        write_secret(tmp_path / f"{user.name}.nk", key.seed + b"\n")
        users.append(f"{{ nkey: {key.public}, {rights(user)} }}")
    async with own_server(tmp_path, f"authorization {{ users: [{', '.join(users)}] }}") as url:
        await served(url, Settings(nats_nkey=tmp_path / "{user}.nk"))
        write_secret(tmp_path / "other.nk", user_nkey().seed)
        with pytest.raises(BrokerUnavailableError, match="it refuses the credentials"):
            await connect(url, name="test", auth=Auth(nkey=tmp_path / "other.nk"))


async def test_a_pool_is_served_with_creds_of_an_operator(tmp_path: Path) -> None:
    operator = Operator()
    for user in SERVICE_USERS:
        operator.creds(user, tmp_path / f"{user.name}.creds")
    async with own_server(tmp_path, operator.config()) as url:
        await served(url, Settings(nats_creds=tmp_path / "{user}.creds"))
        strange = Operator().creds(OPERATOR, tmp_path / "strange.creds")
        past = operator.creds(OPERATOR, tmp_path / "past.creds", exp=1_700_000_001)
        for file in (strange, past):
            with pytest.raises(BrokerUnavailableError, match="it refuses the credentials"):
                await connect(url, name="test", auth=Auth(creds=file))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def secure(tmp_path: Path, authority: Authority) -> AsyncIterator[str]:
    """A broker that speaks TLS and wants a certificate of every client."""
    cert, key = authority.signs("broker")
    tls = f"tls {{ cert_file: '{cert}', key_file: '{key}', ca_file: '{authority.file}', verify: true }}"
    async with own_server(tmp_path, tls) as url:
        yield url


async def test_a_pool_is_served_over_tls_with_certificates(
    secure: str, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for user in SERVICE_USERS:
        authority.signs(user.name)
    await served(
        secure,
        Settings(nats_ca=authority.file, nats_cert=tmp_path / "{user}.pem", nats_key=tmp_path / "{user}.key"),
    )
    assert caplog.text == ""


async def test_what_is_wrong_with_certificates_is_one_line(secure: str, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    other = Authority(tmp_path / "foreign")
    cert, key = other.signs("stranger")
    cases = [
        (Tls(ca=other.file), "its certificate is not to be trusted: "),
        (Tls(ca=authority.file), "no TLS connection: "),
        (Tls(ca=authority.file, cert=cert, key=key), "no TLS connection: "),
    ]
    for tls, said in cases:
        with pytest.raises(BrokerUnavailableError) as caught:
            await connect(secure, name="test", auth=Auth(tls=tls))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_credentials_never_go_over_a_plain_connection_that_was_to_be_secure(
    broker: EmbeddedBroker, authority: Authority
) -> None:
    auth = broker.auth("operator")
    for url, each in (
        (broker.url, replace(auth, tls=Tls(ca=authority.file))),
        (broker.url.replace("nats://", "tls://"), auth),
    ):
        with pytest.raises(BrokerUnavailableError, match="it offers no TLS"):
            await connect(url, name="test", auth=each)


NOBODY = "nats://127.0.0.1:1"
"""Never dialled: the files are looked at first."""
BAD_FILES = [
    ({"creds": "none"}, "cannot read none: No such file or directory"),
    ({"creds": "."}, "cannot read .: Is a directory"),
    ({"creds": "odd"}, "odd is no .creds file: it holds no NATS USER JWT"),
    ({"creds": "half.creds"}, "half.creds is no .creds file: it holds no USER NKEY SEED"),
    ({"creds": "empty.creds"}, "empty.creds is no .creds file: it holds no NATS USER JWT"),
    ({"creds": "seedless.creds"}, "seedless.creds holds no seed of a user's nkey: such a one begins with SU"),
    ({"nkey": "none"}, "cannot read none: No such file or directory"),
    ({"nkey": "odd"}, "odd holds no seed of a user's nkey: such a one begins with SU"),
    ({"nkey": "account.nk"}, "account.nk holds no seed of a user's nkey: such a one begins with SU"),
    ({"tls": Tls(ca=Path("none"))}, "cannot read none: No such file or directory"),
    ({"tls": Tls(ca=Path("odd"))}, "odd holds no certificate of an authority (PEM)"),
    ({"tls": Tls(cert=Path("none"))}, "cannot read none: No such file or directory"),
    ({"tls": Tls(cert=Path("a.pem"), key=Path("none"))}, "cannot read none: No such file or directory"),
    ({"tls": Tls(key=Path("a.key"))}, "a.key is the key of no certificate: name that too"),
    ({"tls": Tls(cert=Path("a.pem"))}, "a.pem: no certificate with its own key, in PEM and without a passphrase"),
    (
        {"tls": Tls(cert=Path("a.pem"), key=Path("b.key"))},
        "a.pem and b.key: no certificate with its own key, in PEM and without a passphrase",
    ),
    (
        {"tls": Tls(cert=Path("a.pem"), key=Path("locked.key"))},
        "a.pem and locked.key: no certificate with its own key, in PEM and without a passphrase",
    ),
]


@pytest.fixture
def files(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files with something wrong."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        authority.signs(name)
    lock(tmp_path / "a.key", tmp_path / "locked.key")
    write_secret(tmp_path / "odd", b"\xff\x00 odd")
    write_secret(tmp_path / "account.nk", Nkey.made(nkeys.PREFIX_BYTE_ACCOUNT).seed)
    jwt, seed = b"-----BEGIN NATS USER JWT-----\n", b"-----BEGIN USER NKEY SEED-----\n"
    write_secret(tmp_path / "half.creds", jwt + b"e.y.J\n")
    write_secret(tmp_path / "empty.creds", jwt + seed)
    write_secret(tmp_path / "seedless.creds", jwt + b"e.y.J\n" + seed + b"SUX\n")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("auth", "said"), BAD_FILES)
async def test_a_file_that_cannot_be_used_is_one_line(auth: dict[str, Any], said: str) -> None:
    auth = {name: Path(value) if isinstance(value, str) else value for name, value in auth.items()}
    with pytest.raises(CredentialsError) as caught:
        await connect(NOBODY, name="test", auth=Auth(**auth))
    assert str(caught.value) == said


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", ["half.creds", "odd", "none"])
def test_a_file_that_is_damaged_later_does_not_end_the_reconnecting(name: str) -> None:
    """The library goes on trying after its own errors only, and looks for ever for a line that is not there."""
    client = Client()
    for read in (client._read_creds_user_jwt, client._read_creds_user_nkey):
        with pytest.raises(NatsError):
            read(name)


@pytest.mark.usefixtures("files")
def test_the_command_line_says_it_in_one_line() -> None:
    for arguments, said in (
        (("--nats-creds", "odd"), "odd is no .creds file: it holds no NATS USER JWT"),
        (("--nats-nkey", "odd"), "odd holds no seed of a user's nkey: such a one begins with SU"),
        (("--nats-ca", "odd"), "odd holds no certificate of an authority (PEM)"),
    ):
        for command in (("query", "health"), ("serve",)):
            result = invoke(*command, "--nats", NOBODY, *arguments)
            assert (result.status, result.out, result.err) == (1, "", f"custody: {said}\n"), command
    result = invoke("query", "health", "--nats-key", "a.key")
    assert (result.status, "nats_key needs nats_cert" in result.err) == (2, True)
