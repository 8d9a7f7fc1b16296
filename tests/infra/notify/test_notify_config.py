"""The configuration of `custody notify`: what it may say, and what is said of what it may not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infra.notify.notify_config import KINDS, Form, NotifyConfigError, load_config
from infra.notify.webhook_secrets import access_of
from tests.support.secret_files import write_secret

ENDPOINT = """
[[endpoint]]
name = "oncall"
url = "https://hooks.example/x"
secret_file = "secret"
events = ["task.quarantined"]
"""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "notify.toml"
    path.write_text(text)
    return path


def test_a_small_one(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, ENDPOINT))
    (endpoint,) = config.endpoint
    assert config.state_file == tmp_path / "custody-notify.db"
    assert (endpoint.name, endpoint.form, endpoint.rate) == ("oncall", Form.STANDARD, 10.0)
    assert endpoint.secret_file == tmp_path / "secret"


def test_chat_tools_are_asked_less_often_and_need_no_secret(tmp_path: Path) -> None:
    text = '[[endpoint]]\nname = "chat"\nform = "slack"\nurl_env = "HOOK"\nneeds = ["*"]\n'
    (endpoint,) = load_config(written(tmp_path, text)).endpoint
    assert endpoint.rate == 1.0


def test_kinds_of_event_are_those_of_the_catalogue() -> None:
    assert {"task.submitted", "agent.lost", "steal.planned", "pool.led"} <= set(KINDS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no endpoint: give at least one [[endpoint]]"),
        ("dashboard = 1\n" + ENDPOINT, "dashboard: unknown key; did you mean dashboard_url?"),
        ("nonsense = [", "not TOML: "),
        (ENDPOINT + "evnts = []", "endpoint 1 (oncall): evnts: unknown key; did you mean events?"),
        (ENDPOINT + ENDPOINT, "two endpoints are called oncall"),
        (
            ENDPOINT.replace("task.quarantined", "task.quarantine"),
            "endpoint 1 (oncall): events: no kind of event fits 'task.quarantine'; did you mean task.quarantined?",
        ),
        (ENDPOINT + 'needs = ["block"]', "endpoint 1 (oncall): needs: no kind of need fits 'block'; did you mean"),
        (ENDPOINT.replace("https", "ftp"), "endpoint 1 (oncall): must begin with https:// or http://"),
        (ENDPOINT.replace("https", "http"), "endpoint 1 (oncall): must begin with https://: without TLS only this"),
        (ENDPOINT.replace("hooks", "me:pw@hooks"), "endpoint 1 (oncall): must not hold a user or password"),
        (ENDPOINT.replace("/x", "/x#y"), "endpoint 1 (oncall): must not hold a fragment"),
        (ENDPOINT.replace("https://hooks.example/x", "https://[x"), "endpoint 1 (oncall): must be a URL"),
        (ENDPOINT.replace("https://hooks.example", "https://a b"), "endpoint 1 (oncall): must be a URL without blanks"),
        (ENDPOINT + 'url_env = "X"', "endpoint 1 (oncall): needs its address: one of url, url_env and url_file"),
        (ENDPOINT + 'secret_env = "X"', "endpoint 1 (oncall): has secret_env and secret_file: give one of them"),
        (
            ENDPOINT.replace('secret_file = "secret"', ""),
            "endpoint 1 (oncall): needs secret_env or secret_file: messages of the form standard are signed",
        ),
        (ENDPOINT.replace('events = ["task.quarantined"]', ""), "endpoint 1 (oncall): wants nothing"),
        (ENDPOINT + "parallel = 17", "endpoint 1 (oncall): parallel: Input should be less than or equal to 16"),
        (ENDPOINT.replace("oncall", "on call"), "endpoint 1 (on call): name: String should match pattern"),
        (
            ENDPOINT.replace("secret_file", "secret_env").replace('"secret"', '"CUSTODY_X"'),
            "endpoint 1 (oncall): secret_env: must not begin with CUSTODY_",
        ),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(NotifyConfigError) as raised:
        load_config(path)
    assert str(raised.value).startswith(f"{path}: {said}")
    assert "hooks.example" not in str(raised.value)


def test_every_fault_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotifyConfigError) as raised:
        load_config(written(tmp_path, ENDPOINT + "parallel = 0\ntimeout_s = 1000"))
    assert str(raised.value).count("\n") == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_is_posted_to_without_tls(tmp_path: Path, host: str) -> None:
    load_config(written(tmp_path, ENDPOINT.replace("https://hooks.example", f"http://{host}:8080")))


def test_another_machine_is_posted_to_without_tls_where_that_is_allowed(tmp_path: Path) -> None:
    load_config(written(tmp_path, ENDPOINT.replace("https", "http") + "allow_http = true"))


def test_a_file_that_every_user_may_write_to_is_not_used(tmp_path: Path) -> None:
    path = written(tmp_path, ENDPOINT)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IWOTH)
    with pytest.raises(NotifyConfigError, match="every user may write to it"):
        load_config(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotifyConfigError, match=r"cannot read .*: No such file or directory"):
        load_config(tmp_path / "none.toml")


def test_secrets_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secret(tmp_path / "secret", f"{SECRET}\n{SECRET}\n")
    (endpoint,) = load_config(written(tmp_path, ENDPOINT)).endpoint
    access = access_of(endpoint)
    assert len(access.secrets) == 2
    assert "example" not in repr(access)
    monkeypatch.setenv("ONE", SECRET)
    in_environment = ENDPOINT.replace('secret_file = "secret"', 'secret_env = "ONE"')
    (endpoint,) = load_config(written(tmp_path, in_environment)).endpoint
    assert access_of(endpoint).secrets == access.secrets[:1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read "),
        ("", "endpoint oncall: secret_file: holds no secret"),
        ("hunter2hunter2hunter2", "endpoint oncall: secret_file: a secret is whsec_ and 24 to 64 bytes in base64"),
        ("whsec_c2hvcnQ=", "endpoint oncall: secret_file: a secret is whsec_ and 24 to 64 bytes in base64"),
        ("whsec_???", "endpoint oncall: secret_file: a secret is whsec_ and 24 to 64 bytes in base64"),
        (b"\xff\xfe", "endpoint oncall: secret_file: "),
    ],
)
def test_what_is_no_secret_is_said_without_it(tmp_path: Path, content: str | bytes | None, said: str) -> None:
    if content is not None:
        write_secret(tmp_path / "secret", content)
    (endpoint,) = load_config(written(tmp_path, ENDPOINT)).endpoint
    with pytest.raises(NotifyConfigError) as raised:
        access_of(endpoint)
    assert str(raised.value).startswith(said)
    assert "hunter2" not in str(raised.value)


def test_an_address_in_the_environment_is_checked_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ENDPOINT.replace('url = "https://hooks.example/x"', 'url_env = "HOOK"')
    (endpoint,) = load_config(written(tmp_path, text)).endpoint
    with pytest.raises(NotifyConfigError, match="endpoint oncall: url_env: the environment has no HOOK"):
        access_of(endpoint)
    monkeypatch.setenv("HOOK", "http://hooks.example/s3cret")
    with pytest.raises(NotifyConfigError, match="endpoint oncall: url_env: must begin with https") as raised:
        access_of(endpoint)
    assert "s3cret" not in str(raised.value)
