"""The commands `custody-mcp` and `custody-task`: usage, and what they need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from custody_mcp import cli, task_command, task_holder

WITHOUT_SDK = "import sys; sys.modules['mcp'] = None; from custody_mcp.{} import main; sys.exit(main({!r}))"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "set CUSTODY_AGENT"),
        (["--agent", "ada", "--slots", "0"], "1 to 500 slots"),
        (["--agent", "ada", "--http", "here"], "no [HOST:]PORT"),
        (["--agent", "ada", "--http", "198.51.100.7:80"], "CUSTODY_MCP_TOKEN"),
        (["--agent", "ada", "--role", "boss"], "invalid choice"),
    ],
)
@pytest.mark.usefixtures("empty_directory")
def test_wrong_usage_is_status_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_server_says_what_to_install() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_SDK.format("cli", ["--agent", "ada"])],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr.strip()) == (2, cli.EXTRA_MISSING)


def test_the_command_for_tasks_needs_no_sdk() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_SDK.format("task_command", ["--help"])],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_without_a_service_a_beat_holds_nothing_up(
    empty_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(task_holder, "BEAT_S", 0.1)
    monkeypatch.setattr(task_holder, "ANSWER_S", 0.1)
    assert task_command.main(["--agent", "ada", "beat"]) == 0
    lease = {
        "task_id": "T1",
        "token": 5,
        "attempt": 1,
        "expires_at": "2026-11-29T10:00:00Z",
        "grace_s": 1,
        "lease_s": 9,
    }
    file = empty_directory / task_command.FILE
    file.write_text(json.dumps({"session": "s", "lease": lease}))
    assert task_command.main(["--agent", "ada", "beat"]) == 0
    assert "Custody gives no answer now" in capsys.readouterr().err
    assert task_command.main(["--agent", "ada", "finish"]) == 1
    file.write_text("{")
    assert _status(["--agent", "ada", "beat"]) == 1
    assert "remove it, and claim again" in capsys.readouterr().err


def _status(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        task_command.main(arguments)
    return ended.value.code
