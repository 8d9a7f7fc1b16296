"""The files for running Custody against a broker of one's own agree with the code and with each other."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.broker.binary import candidates
from infra.broker.users import SERVICE_USERS, BrokerUser
from infra.nats.stream import OLDEST_BROKER
from tests.support.checkout import ROOT

CONFIG = ROOT / "infra" / "broker" / "custody.conf"
RIGHTS = ("publish", "subscribe")
VARIABLES = re.compile(r"(?<![\"\w#])\$([A-Z_]+)")


@pytest.fixture
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def uncommented(path: Path) -> str:
    return re.sub(r"(?m)^\s*#.*$", "", path.read_text(encoding="utf-8"))


def users_in(text: str) -> set[BrokerUser]:
    """The users that the configuration's text defines; a right is a list, or a list `allow` and a list `deny`."""
    names = [*re.finditer(r"user: (\w+)", text)]
    ends = [name.start() for name in names[1:]] + [len(text)]
    return {
        BrokerUser(name[1], *(read(text[name.end() : end], right) for read in (_list, _denied) for right in RIGHTS))
        for name, end in zip(names, ends, strict=True)
    }


def _list(text: str, right: str) -> tuple[str, ...]:
    found = re.search(rf"{right}: (?:\{{\s*allow: )?\[([^]]*)\]", text)
    return _quoted(found[1]) if found else ()


def _denied(text: str, right: str) -> tuple[str, ...]:
    found = re.search(rf"{right}: \{{\s*allow: \[[^]]*\],?\s*deny: \[([^]]*)\]", text)
    return _quoted(found[1]) if found else ()


def _quoted(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r'"([^"]+)"', text))


def test_the_configuration_names_the_same_users_and_rights_as_the_code() -> None:
    assert users_in(uncommented(CONFIG)) == set(SERVICE_USERS)


def test_the_server_accepts_the_configuration(tmp_path: Path) -> None:
    environment = dict.fromkeys(VARIABLES.findall(uncommented(CONFIG)), "secret")
    check = subprocess.run(
        [next(candidates()), "-t", "-c", CONFIG],
        env={**os.environ, **environment, "CUSTODY_BROKER_STORE": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stderr


def test_without_passwords_the_server_does_not_start() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    check = subprocess.run(
        [next(candidates()), "-t", "-c", CONFIG], env=environment, check=False, capture_output=True, text=True
    )
    assert check.returncode != 0
    assert "variable reference" in check.stderr


def test_compose_gives_the_server_every_variable_of_its_configuration(compose: dict[str, Any]) -> None:
    assert set(compose["services"]["nats"]["environment"]) == set(VARIABLES.findall(uncommented(CONFIG)))


def test_both_services_have_the_same_passwords(compose: dict[str, Any]) -> None:
    broker, service = (compose["services"][name]["environment"] for name in ("nats", "custody"))
    passwords = [name for name in broker if name.endswith("_PASSWORD")]
    assert len(passwords) == len(SERVICE_USERS)
    assert {name: broker[name] for name in passwords} == {name: service[name] for name in passwords}


def test_the_image_is_new_enough_and_pinned_to_a_minor_version(compose: dict[str, Any]) -> None:
    match = re.search(r"nats:(\d+)\.(\d+)", compose["services"]["nats"]["image"])
    assert match
    assert tuple(map(int, match.groups())) > OLDEST_BROKER[:2]


def test_no_port_is_open_to_the_network(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_service_has_a_health_check(compose: dict[str, Any]) -> None:
    assert all("healthcheck" in service for service in compose["services"].values())


def test_the_log_is_kept_in_a_named_volume(compose: dict[str, Any]) -> None:
    store = compose["services"]["nats"]["environment"]["CUSTODY_BROKER_STORE"]
    assert f"log:{store}" in compose["services"]["nats"]["volumes"]
    assert compose["volumes"]["log"]["name"] == "custody_log", "it is found again from a checkout of another name"


def test_compose_1_29_reads_it_too(compose: dict[str, Any]) -> None:
    assert compose.keys() == {"services", "volumes"}, "that is what Debian 12 has, and it refuses `name`"
