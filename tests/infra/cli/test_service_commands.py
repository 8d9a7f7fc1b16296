"""`config`, and how `up`, `serve` and `demo` are started."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from infra.service.log_consent import LogConsent
from infra.settings.settings import Settings
from tests.infra.cli.conftest import invoke


def test_config_shows_values_and_where_they_came_from(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "custody.toml").write_text("lease_s = 12\n")
    monkeypatch.setenv("CUSTODY_POOL", "p1")
    monkeypatch.setenv("CUSTODY_OPERATOR_PASSWORD", "hush")
    lines = invoke("config", "--steal-threshold", "9", "--no-sweeper-enabled").out.splitlines()
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}
    assert rows["pool"] == ["p1", "CUSTODY_POOL"]
    assert rows["lease_s"] == ["12", "custody.toml"]
    assert rows["steal_threshold"] == ["9", "--steal-threshold"]
    assert rows["sweeper_enabled"] == ["no", "--sweeper-enabled"]
    assert rows["operator_password"] == ["********", "CUSTODY_OPERATOR_PASSWORD"]
    assert rows["queue_length"] == ["10000", "default"]


def test_config_as_json_has_every_setting() -> None:
    shown = json.loads(invoke("config", "--json").out)
    assert set(shown) == set(Settings.model_fields)
    assert shown["stuck_threshold_s"] == {"value": 600.0, "from": "default"}


def test_config_shows_what_fell_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_SWEEPER_INTERVAL_S", "soon")
    shown = json.loads(invoke("config", "--json").out)["sweeper_interval_s"]
    assert shown == {"value": 300.0, "from": "default (CUSTODY_SWEEPER_INTERVAL_S is unusable)"}


def test_a_bad_setting_is_one_line_and_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_LEASE_S", "soon")
    for command in ("config", "up", "serve", "demo"):
        result = invoke(command)
        assert result.status == 2
        assert result.err.startswith("custody: lease_s from CUSTODY_LEASE_S: 'soon' should be a valid number")
        assert result.err.count("\n") == 1


def stub(monkeypatch: pytest.MonkeyPatch, module: str, **functions: Any) -> None:
    stubbed = types.ModuleType(module)
    vars(stubbed).update(functions)
    monkeypatch.setitem(sys.modules, module, stubbed)


def test_up_runs_with_the_settings_and_ends_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_up(settings: Settings, *, consent: LogConsent) -> int:
        return 7 if settings.pool == "p1" else 1

    stub(monkeypatch, "infra.service.run", run_up=run_up)
    assert invoke("up", "--pool", "p1").status == 7


@pytest.mark.parametrize(
    ("arguments", "url"), [([], "nats://127.0.0.1:4222"), (["--nats", "nats://h:1"], "nats://h:1")]
)
def test_serve_goes_to_the_named_broker(arguments: list[str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def run_serve(settings: Settings, nats_url: str, *, consent: LogConsent) -> int:
        asked.append(nats_url)
        return 0

    stub(monkeypatch, "infra.service.run", run_serve=run_serve)
    result = invoke("serve", *arguments)
    assert (result.status, result.err) == (0, "")
    assert asked == [url]


def test_serve_says_that_it_does_not_go_to_the_broker_of_up(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_serve(settings: Settings, nats_url: str, *, consent: LogConsent) -> int:
        return 0

    stub(monkeypatch, "infra.service.run", run_serve=run_serve)
    (directory / ".custody").mkdir()
    record = directory / ".custody" / "broker.json"
    record.write_text('{"url": "nats://127.0.0.1:38233", "pid": 1, "users": true}')
    warning = (
        "custody: `custody up` runs in .custody with a broker at nats://127.0.0.1:38233, and serves it;"
        " this service goes to nats://127.0.0.1:4222: name another address with --nats\n"
    )
    for ended, said in ((False, warning), (True, "")):
        monkeypatch.setattr("infra.broker.process.has_ended", lambda *_, ended=ended: ended)
        assert invoke("serve").err == said
    assert invoke("serve", "--nats", "nats://h:1").err == ""


@pytest.mark.parametrize(
    ("command", "setting", "value"),
    [
        ("serve", "broker_port", "4222"),
        ("up", "nats", '"nats://h:1"'),
        ("demo", "broker_port", "4222"),
        ("demo", "nats_user", '"ann"'),
    ],
)
def test_a_setting_that_a_command_does_not_use_is_no_option_of_it(
    command: str, setting: str, value: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(_settings: Settings, *_: object, **__: object) -> int:
        return 0

    stub(monkeypatch, "infra.service.run", run_up=run, run_serve=run)
    stub(monkeypatch, "custody_demo.demo", run_demo=run)
    option = f"--{setting.replace('_', '-')}"
    assert f"{option} " not in invoke(command, "--help-all").out
    refused = invoke(command, option, "4222")
    assert refused.status == 2
    assert f"No such option: {option}" in refused.err
    (directory / "custody.toml").write_text(f"{setting} = {value}\n")
    assert invoke(command).status == 0, "other commands use the file, too"


def test_demo_passes_its_size_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    async def run_demo(settings: Settings, **size: Any) -> int:
        asked.update(size)
        return 0

    stub(monkeypatch, "custody_demo.demo", run_demo=run_demo)
    assert invoke("demo", "--agents", "9", "--tasks", "70", "--seconds", "7", "--seed", "4", "--keep").status == 0
    assert asked == {"agents": 9, "tasks": 70, "seconds": 7.0, "seed": 4, "keep": True, "into": None}


def test_demo_is_kept_where_the_data_directory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    async def run_demo(settings: Settings, **size: Any) -> int:
        asked.update(size)
        return 0

    stub(monkeypatch, "custody_demo.demo", run_demo=run_demo)
    assert invoke("demo", "--keep", "--data-dir", "here").status == 0
    assert asked["into"] == Path("here")


def test_demo_names_no_data_directory_that_it_would_not_keep() -> None:
    refused = invoke("demo", "--data-dir", "here")
    assert refused.status == 2
    assert "only with --keep" in refused.err


def test_an_unknown_variable_ends_every_command_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_DATADIR", "x")
    for arguments in (("config",), ("query", "health"), ("up",), ("verify",)):
        refused = invoke(*arguments)
        assert (refused.status, refused.out) == (2, "")
        assert refused.err == "custody: CUSTODY_DATADIR: unknown setting; did you mean CUSTODY_DATA_DIR?\n"
