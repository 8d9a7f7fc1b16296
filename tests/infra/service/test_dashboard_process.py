"""The dashboard beside `custody up`: where it listens, and what it is told."""

import os
import socket
import tomllib
from pathlib import Path

import pytest

from infra.nats.auth import Auth
from infra.service.dashboard_process import PORTS_TRIED, DashboardProcess, free_port, write_config
from infra.settings.loading import load_settings
from infra.settings.settings import Settings
from tests.support import ports


def take(sockets: list[socket.socket], port: int) -> None:
    taken = socket.socket()
    sockets.append(taken)
    taken.bind(("127.0.0.1", port))
    taken.listen()


def test_the_wanted_port_is_taken_if_it_is_free_else_one_of_the_next_else_any() -> None:
    sockets: list[socket.socket] = []
    try:
        port = ports.free_port()
        assert free_port(port) == port
        take(sockets, port)
        assert port < free_port(port) <= port + PORTS_TRIED
        last = 65_535
        assert free_port(last) > 0
    finally:
        for each in sockets:
            each.close()


def test_it_gets_the_settings_that_differ_and_no_secret(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        pool="p1",
        lease_s=7.5,
        on_stall="requeue",  # type: ignore[arg-type]
        handoff_branch_template='a "b" \\ {task_id}',
        nats="nats://elsewhere:4222",
        nats_token="secret-token",  # type: ignore[arg-type]
        writer_password="secret-password",  # type: ignore[arg-type]
    )
    file = write_config(settings)
    text = file.read_text()
    assert "secret" not in text
    assert "elsewhere" not in text
    values = tomllib.loads(text)
    assert values == {
        "data_dir": str(tmp_path.resolve()),
        "handoff_branch_template": 'a "b" \\ {task_id}',
        "lease_s": 7.5,
        "on_stall": "requeue",
        "pool": "p1",
    }


def test_its_settings_are_those_of_up_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CUSTODY_NATS", "nats://elsewhere:4222")
    monkeypatch.setenv("CUSTODY_POOL", "other")
    monkeypatch.setenv("CUSTODY_NATS_CREDS", "/a/file")
    settings = Settings(data_dir=tmp_path, pool="p1", stuck_threshold_s=33)
    auth = Auth(user="operator", password="secret")
    dashboard = DashboardProcess(settings, "nats://127.0.0.1:7", auth)
    environment = dashboard._environment()  # noqa: SLF001 - what the process is started with
    for name in [name for name in os.environ if name.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        if name.startswith("CUSTODY_"):
            monkeypatch.setenv(name, value)
    found = load_settings({"config": write_config(settings)}).settings
    assert (found.pool, found.stuck_threshold_s, found.data_dir) == ("p1", 33, tmp_path.resolve())
    assert (found.nats, found.nats_user, found.nats_creds) == ("nats://127.0.0.1:7", "operator", None)
    assert found.nats_password is not None
    assert found.nats_password.get_secret_value() == "secret"
