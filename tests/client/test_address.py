"""Where the broker is, and as whom to connect."""

import json
import os
from pathlib import Path

import pytest

from custody_client import AddressError, NotUpError
from custody_client.address import Address, agent_name, capability_names, find_address, pool_name
from custody_client.secret_file import _fault, read_secret
from tests.support.secret_files import write_secret


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What `custody up` leaves in the working directory."""
    data = tmp_path / ".custody"
    data.mkdir()
    (data / "broker.json").write_text(json.dumps({"url": "nats://127.0.0.1:4999", "pid": 1, "users": True}))
    write_secret(data / "credentials.json", json.dumps({"operator": "secret", "writer": "other"}))
    return tmp_path


def test_it_is_found_beside_custody_up(data: Path) -> None:
    found = find_address(environ={}, directory=data)
    assert found == Address(("nats://127.0.0.1:4999",), user="operator", password="secret", found=True)
    assert found.inbox == "_INBOX.operator"


def test_a_broker_without_users_needs_no_password(data: Path) -> None:
    (data / ".custody" / "broker.json").write_text(json.dumps({"url": "nats://127.0.0.1:4999", "users": False}))
    found = find_address(environ={}, directory=data)
    assert found == Address(("nats://127.0.0.1:4999",), found=True)
    assert found.inbox == "_INBOX"


def test_the_environment_counts_before_the_directory_and_an_argument_before_it(data: Path) -> None:
    environ = {"CUSTODY_NATS": "nats://a:1,b:2"}
    assert find_address(environ=environ, directory=data).servers == ("nats://a:1", "nats://b:2")
    assert find_address("nats://c:3", environ=environ, directory=data).servers == ("nats://c:3",)


def test_another_directory_may_be_named(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (data / ".custody").rename(other)
    assert find_address(environ={"CUSTODY_DATA_DIR": str(other)}, directory=tmp_path).user == "operator"


def test_answers_are_heard_where_the_user_may_listen() -> None:
    assert find_address("nats://agent-a1:pw@h:1", environ={}).inbox == "_INBOX.agent-a1"
    assert find_address("nats://token@h:1", environ={}).inbox == "_INBOX"
    environ = {"CUSTODY_NATS_INBOX_PREFIX": "_INBOX.mine"}
    assert find_address("nats://h:1", environ=environ).inbox == "_INBOX.mine"


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ('{"user": "u", "password": "p"}', {"user": "u", "password": "p"}),
        ("-----BEGIN NATS USER JWT-----\n...", {"user_credentials": "FILE"}),
        ("SUAGC3DRKMEXAMPLE", {"nkeys_seed": "FILE"}),
    ],
)
def test_a_file_of_credentials_says_what_it_is(tmp_path: Path, content: str, options: dict[str, str]) -> None:
    file = write_secret(tmp_path / "credentials", content)
    found = find_address(environ={"CUSTODY_NATS": "h:1", "CUSTODY_CREDENTIALS": str(file)})
    wanted = {name: str(file) if value == "FILE" else value for name, value in options.items()}
    assert {name: value for name, value in found.options().items() if name in wanted} == wanted


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        pytest.param({}, "run this beside `custody up`", id="nothing says it"),
        pytest.param({"CUSTODY_CREDENTIALS": "f"}, "need an address of their own", id="a secret for a found address"),
        pytest.param({"CUSTODY_NATS": "h", "CUSTODY_CREDENTIALS": "/none"}, "cannot be read", id="no such file"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    with pytest.raises(AddressError, match=said):
        find_address(environ=environ, directory=tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o644])
def test_credentials_that_other_users_can_read_or_write_are_not_used(data: Path, mode: int) -> None:
    file = data / ".custody" / "credentials.json"
    file.chmod(mode)
    for environ in ({}, {"CUSTODY_NATS": "h:1", "CUSTODY_CREDENTIALS": str(file)}):
        with pytest.raises(AddressError, match=r"credentials.json are not used: other users may .* \(chmod 600\)"):
            find_address(environ=environ, directory=data)


def test_roots_files_may_be_readable_and_a_pipe_may_bring_credentials(tmp_path: Path) -> None:
    for mode, owner, user, used in (
        (0o444, 0, 1000, True),
        (0o640, 0, 1000, True),
        (0o660, 0, 1000, False),
        (0o600, 1001, 1000, False),
        (0o444, 0, 0, False),
    ):
        assert (_fault(mode, owner, user) is None) is used, (mode, owner, user)
    reading, writing = os.pipe()
    os.write(writing, b"a secret")
    os.close(writing)
    assert read_secret(Path(f"/dev/fd/{reading}")) == b"a secret"
    os.close(reading)


def test_a_damaged_file_is_named(data: Path) -> None:
    (data / ".custody" / "broker.json").write_text("{")
    with pytest.raises(AddressError, match="does not say where the broker is"):
        find_address(environ={}, directory=data)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("nats://u:secret@h:port", id="the port is no number"),
        pytest.param("nats://u:secret@h:0", id="no such port"),
        pytest.param("nats://u:secret@h:70000", id="no port is so large"),
        pytest.param("https://u:secret@h:4222", id="another protocol"),
        pytest.param("nats://", id="no host"),
        pytest.param("nats://[::1", id="half a host"),
        pytest.param("nats://h:1,nats://", id="one of several"),
        pytest.param(" , ", id="none"),
    ],
)
def test_what_is_no_address_is_said_at_once(url: str) -> None:
    with pytest.raises(AddressError, match=r"is no address of a broker|names no broker") as error:
        find_address(environ={"CUSTODY_NATS": url})
    assert "secret" not in str(error.value)
    assert not isinstance(error.value, NotUpError)


def test_a_service_that_does_not_run_is_told_from_an_address_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(NotUpError, match=f"{tmp_path}/.custody/broker.json"):
        find_address(environ={}, directory=tmp_path)


def test_no_secret_is_shown() -> None:
    shown = repr(find_address("nats://u:secret@h:1", environ={}))
    assert shown == "Address(nats://h:1)"


def test_who_it_is_comes_from_arguments_or_the_environment() -> None:
    environ = {"CUSTODY_AGENT": "a1", "CUSTODY_POOL": "p", "CUSTODY_CAPABILITIES": "gpu, python,"}
    assert (agent_name(None, environ), agent_name("b", environ)) == ("a1", "b")
    assert (pool_name(None, environ), pool_name("q", environ), pool_name(None, {})) == ("p", "q", "default")
    assert capability_names(None, environ) == ["gpu", "python"]
    assert capability_names([], environ) == []
    with pytest.raises(AddressError, match="set CUSTODY_AGENT"):
        agent_name(None, {})


@pytest.mark.parametrize("name", ["two words", "a.b", "", "x" * 65, "é"])
def test_a_name_that_is_no_token_of_a_subject_is_refused(name: str) -> None:
    with pytest.raises(AddressError, match=r"is no name of a pool|needs a name|is no name of an agent"):
        agent_name(name, {})
    if name:
        with pytest.raises(AddressError, match="is no name of a pool"):
            pool_name(name, {})
