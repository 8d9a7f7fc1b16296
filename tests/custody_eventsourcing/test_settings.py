"""Settings from the environment, and the errors for invalid ones."""

from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import InfrastructureFactory
from eventsourcing.utils import Environment

from custody_eventsourcing import NatsAggregateRecorder, NatsApplicationRecorder, NatsFactory
from custody_eventsourcing.environment import NatsSettings
from custody_eventsourcing.pools import PoolFactory
from infra.broker.users import OPERATOR
from infra.nats.auth import Auth, Tls
from tests.support.credentials import Authority, Operator, user_nkey
from tests.support.secret_files import write_secret

URL = "nats://broker.example:4222"


class ApplicationRecorderSubclass(NatsApplicationRecorder):
    """What APPLICATION_RECORDER_TOPIC can name."""


def settings(name: str = "", **env: str) -> NatsSettings:
    return NatsSettings.from_env(Environment(name, {"NATS_URL": URL, **env}))


def test_the_address_is_all_that_is_needed() -> None:
    assert settings() == NatsSettings(url=URL, auth=Auth())


def test_everything_can_be_set(tmp_path: Path) -> None:
    Operator().creds(OPERATOR, tmp_path / "nats.creds")
    write_secret(tmp_path / "user.nk", user_nkey().seed)
    authority = Authority(tmp_path)
    certificate, key = authority.signs("client")
    assert settings(
        NATS_USER="user",
        NATS_PASSWORD="secret",
        NATS_TOKEN="token",
        NATS_CREDS=str(tmp_path / "nats.creds"),
        NATS_NKEY=str(tmp_path / "user.nk"),
        NATS_CA=str(authority.file),
        NATS_CERT=str(certificate),
        NATS_KEY=str(key),
        NATS_INBOX_PREFIX="_INBOX.app",
        NATS_CONNECT_TIMEOUT="1.5",
        NATS_TIMEOUT=" 30 ",
        NATS_STREAM_PREFIX="PROD",
        NATS_REPLICAS="3",
        CREATE_TABLE="n",
    ) == NatsSettings(
        url=URL,
        auth=Auth(
            user="user",
            password="secret",
            token="token",
            creds=tmp_path / "nats.creds",
            nkey=tmp_path / "user.nk",
            tls=Tls(ca=authority.file, cert=certificate, key=key),
            inbox_prefix="_INBOX.app",
        ),
        connect_timeout_s=1.5,
        timeout_s=30.0,
        stream_prefix="PROD",
        replicas=3,
        create_streams=False,
    )


def test_an_applications_own_setting_comes_first() -> None:
    env = {"NATS_USER": "everybody", "ACCOUNTS_NATS_USER": "accounts"}

    assert settings("accounts", **env).auth.user == "accounts"
    assert settings("others", **env).auth.user == "everybody"


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"NATS_URL": ""}, "NATS broker URL not found in environment with keys: APP_NATS_URL, NATS_URL"),
        ({"NATS_TIMEOUT": "soon"}, "'NATS_TIMEOUT' is invalid.* a number of seconds .*'soon'"),
        ({"NATS_TIMEOUT": "0"}, "'NATS_TIMEOUT' is invalid.* a positive number of seconds"),
        ({"NATS_CONNECT_TIMEOUT": "nan"}, "'NATS_CONNECT_TIMEOUT' is invalid"),
        ({"NATS_REPLICAS": "2"}, "'NATS_REPLICAS' is invalid.* 1, 3 or 5 .*'2'"),
        ({"CREATE_TABLE": "maybe"}, "'CREATE_TABLE' is invalid.* yes or no .*'maybe'"),
        ({"NATS_CA": "/nowhere/ca.pem"}, "cannot read /nowhere/ca.pem: No such file"),
        ({"NATS_CREDS": "/nowhere/creds"}, "cannot read /nowhere/creds: No such file"),
        ({"NATS_NKEY": "/nowhere/nk"}, "cannot read /nowhere/nk: No such file"),
        ({"NATS_KEY": "/dev/null"}, "/dev/null is the key of no certificate"),
    ],
)
def test_what_means_nothing_is_refused(env: dict[str, str], says: str) -> None:
    with pytest.raises(OSError, match=says):
        settings("app", **env)


def test_a_lack_of_rights_names_the_settings_that_help() -> None:
    assert settings(NATS_URL="nats://u:secret@broker.example").remedy_for_rights == (
        "give the connection's user that right at nats://broker.example, or choose another user or broker"
        " (NATS_USER, NATS_URL)"
    )
    assert settings("leases", NATS_USER="ann").remedy_for_rights == (
        f"give user 'ann' that right at {URL}, or choose another user or broker (LEASES_NATS_USER, LEASES_NATS_URL)"
    )


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(settings(NATS_PASSWORD="secret", NATS_TOKEN="secret"))


def test_the_module_names_one_factory_each() -> None:
    for module, cls in (("custody_eventsourcing", "NatsFactory"), ("custody_eventsourcing.pools", "PoolFactory")):
        factory = InfrastructureFactory.construct({"PERSISTENCE_MODULE": module, "NATS_URL": URL})
        assert type(factory).__name__ == cls
        factory.close()


def test_an_application_with_the_modules_former_name_works(nats_env: dict[str, str]) -> None:
    with Application[UUID]({**nats_env, "PERSISTENCE_MODULE": "infra.eventsourcing_nats"}) as app:
        aggregate = Aggregate()
        app.save(aggregate)
        assert app.repository.get(aggregate.id) == aggregate
    former = {"PERSISTENCE_MODULE": "infra.eventsourcing_nats.pools", "NATS_URL": URL}
    pools = InfrastructureFactory.construct(former)
    assert type(pools) is PoolFactory
    pools.close()


def test_another_class_of_recorder_can_be_named(nats_env: dict[str, str]) -> None:
    topic = f"{__name__}:ApplicationRecorderSubclass"
    factory = NatsFactory({**nats_env, "APPLICATION_RECORDER_TOPIC": topic})
    assert type(factory.application_recorder()).__name__ == "ApplicationRecorderSubclass"
    factory.env["APPLICATION_RECORDER_TOPIC"] = f"{NatsAggregateRecorder.__module__}:NatsAggregateRecorder"
    with pytest.raises(TypeError, match="no subclass of NatsApplicationRecorder"):
        factory.application_recorder()
    factory.close()
