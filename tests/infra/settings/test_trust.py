"""No secret goes to an address from a less trusted source than its own, and no file of another user is believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from custody_dashboard.web.people import TokenHolders
from infra.broker.data_dir import DataDir, DataDirError, write_private
from infra.cli.commands.checkpoint import _passphrase
from infra.host.small_files import owner_fault, read_secret, secret_fault
from infra.nats.auth import Tls, read_creds, read_seed
from infra.nats.broker_errors import CredentialsError
from infra.notify.notify_config import EndpointConfig
from infra.notify.webhook_secrets import access_of
from infra.proof.signing import read_private_key
from infra.settings.credentials import secrets_for
from infra.settings.loading import Origin, load_settings
from infra.settings.settings import Settings
from infra.settings.sources import SettingsError
from infra.settings.trust import Trust, may_go, misrouted, trust_of, trust_of_data_dir
from tests.support.cases import case

FLAG = Origin("flag", "--x")
ENVIRONMENT = Origin("environment", "CUSTODY_X")
FILE = Origin("file", "custody.toml")
DEFAULT = Origin("default", "")


def test_a_secret_goes_where_its_own_source_or_a_more_trusted_one_says() -> None:
    refused = {(secret, address) for secret, address in product(Trust, Trust) if not may_go(secret, address)}
    assert refused == {
        (Trust.CHOSEN, Trust.FOUND_FILE),
        (Trust.CHOSEN, Trust.FOUND_DATA),
        (Trust.FOUND_FILE, Trust.FOUND_DATA),
    }


@pytest.mark.parametrize(
    ("value", "config", "trust"),
    [
        (FLAG, DEFAULT, Trust.CHOSEN),
        (ENVIRONMENT, DEFAULT, Trust.CHOSEN),
        (DEFAULT, DEFAULT, Trust.CHOSEN),
        (FILE, DEFAULT, Trust.FOUND_FILE),
        (FILE, FLAG, Trust.CHOSEN),
        (FILE, ENVIRONMENT, Trust.CHOSEN),
        (FLAG, ENVIRONMENT, Trust.CHOSEN),
    ],
)
def test_a_source_is_trusted_as_what_names_it(value: Origin, config: Origin, trust: Trust) -> None:
    assert trust_of("nats", {"nats": value, "config": config}) is trust
    wanted = Trust.FOUND_DATA if value is DEFAULT else trust
    assert trust_of_data_dir({"data_dir": value, "config": config}) is wanted


@pytest.mark.parametrize("name", ["nats_ca", "nats_plaintext"])
def test_what_shows_a_secret_to_others_is_held_to_the_same(name: str) -> None:
    origins = {"config": DEFAULT, "operator_password": ENVIRONMENT, "nats": FLAG, name: FILE}
    why = misrouted(["operator_password"], Trust.CHOSEN, origins)
    assert why is not None
    assert name in why


@pytest.mark.parametrize(
    ("settings", "secrets"),
    [
        ({}, ()),
        ({"operator_password": "x"}, ("operator_password",)),
        ({"writer_password": "x"}, ()),
        ({"operator_password": "x", "nats_user": "me"}, ()),
        ({"operator_password": "x", "nats_user": "me", "nats_password": "y"}, ("nats_password",)),
        ({"operator_password": "x", "nats_token": "t"}, ("nats_token",)),
        ({"nats_creds": "x.creds", "nats_nkey": "x.nk"}, ("nats_creds",)),
        ({"nats_nkey": "x.nk"}, ("nats_nkey",)),
    ],
)
def test_the_secrets_that_would_be_sent(settings: dict[str, Any], secrets: tuple[str, ...]) -> None:
    assert secrets_for(Settings(**settings), "operator") == secrets


@pytest.mark.parametrize(
    ("mode", "owner", "user", "fault"),
    [
        (0o600, 1000, 1000, None),
        (0o644, 1000, 1000, None),
        (0o664, 1000, 1000, None),
        (0o644, 0, 1000, None),
        (0o600, 0, 0, None),
        (0o644, 1001, 1000, "another user"),
        (0o600, 1000, 0, "another user"),
        (0o666, 1000, 1000, "every user"),
        (0o602, 0, 1000, "every user"),
        (0o646, 1000, 1000, "every user"),
    ],
)
def test_whose_files_are_believed(mode: int, owner: int, user: int, fault: str | None) -> None:
    found = owner_fault(mode, owner, user)
    assert (found is None) if fault is None else (fault in (found or ""))


@pytest.mark.parametrize(
    ("mode", "owner", "user", "fault"),
    [
        (0o600, 1000, 1000, None),
        (0o400, 1000, 1000, None),
        (0o600, 0, 0, None),
        (0o640, 1000, 1000, "other users may read or write it"),
        (0o620, 1000, 1000, "other users may read or write it"),
        (0o604, 1000, 1000, "other users may read or write it"),
        (0o644, 0, 0, "other users may read or write it"),
        (0o444, 0, 1000, None),
        (0o640, 0, 1000, None),
        (0o660, 0, 1000, "others than root may write to it"),
        (0o600, 1001, 1000, "another user"),
        (0o600, 1000, 0, "another user"),
        (0o602, 0, 1000, "others than root may write to it"),
    ],
)
def test_which_files_may_hold_secrets(mode: int, owner: int, user: int, fault: str | None) -> None:
    found = secret_fault(mode, owner, user)
    assert (found is None) if fault is None else (fault in (found or ""))


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o644])
def test_every_file_with_a_secret_is_refused_if_others_can_read_or_write_it(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "secret"
    file.write_text("a secret")
    (tmp_path / "broker").mkdir()
    directory = DataDir(tmp_path)
    directory.credentials.write_text("{}")
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\n")
    for path in (file, directory.credentials, key):
        path.chmod(mode)
    endpoint = EndpointConfig.model_validate(
        {"name": "e", "url": "https://a.example", "secret_file": file, "needs": ["*"]}
    )
    reads: dict[str, Callable[[], object]] = {
        "tokens": lambda: TokenHolders(file),
        "creds": lambda: read_creds(file),
        "nkey": lambda: read_seed(file),
        "client key": lambda: Tls(cert=key).context(),
        "webhook secret": lambda: access_of(endpoint),
        "signing key": lambda: read_private_key(key, None),
        "passphrase": lambda: _passphrase(file),
        "passwords of the data directory": directory.read_passwords,
    }
    for name, read in reads.items():
        with case(name), pytest.raises(Exception, match="is not used: ") as refused:
            read()
        assert "chmod 600 " in str(refused.value), name


def test_a_pipe_may_bring_a_secret(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a secret")
    os.close(writing)
    assert read_secret(Path(f"/dev/fd/{reading}"), SettingsError) == b"a secret"
    os.close(reading)


def make_anothers(path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it look as if another user could have written the file."""
    if how == "world-writable":
        path.chmod(0o666)
    elif os.geteuid() == 0:
        os.chown(path, 54_321, 54_321)
    else:
        monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)


HOW = pytest.mark.parametrize("how", ["of another user", "world-writable"])


@HOW
def test_a_configuration_file_that_could_be_anothers_is_refused(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "custody.toml"
    file.write_text('nats = "nats://elsewhere:4222"\n')
    assert load_settings().settings.nats == "nats://elsewhere:4222"
    make_anothers(file, how, monkeypatch)
    with pytest.raises(SettingsError, match=r"custody\.toml is not used"):
        load_settings()
    with pytest.raises(SettingsError, match=r"custody\.toml is not used"):
        load_settings({"config": file})


@HOW
@pytest.mark.parametrize("name", ["broker.json", "credentials.json"])
def test_a_data_directory_that_could_be_anothers_is_refused(
    tmp_path: Path, how: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broker.json").write_text('{"url": "nats://127.0.0.1:1", "pid": 1, "users": true}')
    data = DataDir.at(tmp_path)
    write_private(data.credentials, '{"operator": "x"}')
    assert (data.read_record() is not None, data.read_passwords()) == (True, {"operator": "x"})
    make_anothers(tmp_path / name, how, monkeypatch)
    with pytest.raises(DataDirError, match=f"{name} is not used"):
        (data.read_record if name == "broker.json" else data.read_passwords)()


@HOW
def test_a_key_that_could_be_anothers_is_refused(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.nk"
    file.write_bytes(b"SU...")
    make_anothers(file, how, monkeypatch)
    with pytest.raises(CredentialsError, match=r"x\.nk is not used"):
        read_seed(file)
