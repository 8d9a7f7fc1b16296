"""Help fits a screen: what a person sees who asks for it, in a terminal of 80 columns and 24 lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli import main
from infra.cli.framework.help_page import clause
from tests.infra.cli.conftest import invoke
from tests.infra.cli.test_listing import ALL
from tests.support.cases import case
from tests.support.checkout import ROOT
from tests.support.terminal import in_terminal

COLUMNS, ROWS = 80, 24
GROUPS: list[list[str]] = [[], ["agent"], ["query"], ["checkpoint"]]
CUSTODY = (sys.executable, "-m", "infra.cli.main")


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


def test_every_page_fits_a_screen_below_the_prompt() -> None:
    for arguments in (*GROUPS, *ALL):
        with case(" ".join(arguments)):
            page = invoke(*arguments, "--help")
            assert page.status == 0
            assert len(page.lines) < ROWS
            assert max(map(len, page.lines)) <= COLUMNS
            assert page == invoke(*arguments, "-h")


def test_nothing_is_truncated_at_80_columns() -> None:
    for arguments in (*GROUPS, *ALL):
        with case(" ".join(arguments)):
            page = invoke(*arguments, "--help-all")
            assert page.status == 0
            assert max(map(len, page.lines)) <= COLUMNS
            assert "…" not in page.out.replace("NAME=VALUE,…", "")


def test_a_person_in_a_terminal_sees_the_same(tmp_path: Path) -> None:
    for arguments in ((), ("submit",), ("agent", "progress")):
        with case(" ".join(arguments)):
            shown = in_terminal([*CUSTODY, *arguments, "--help"], tmp_path, columns=COLUMNS, rows=ROWS)
            assert shown.status == 0
            assert re.sub(r"\x1b\[\d*m", "", shown.out) == invoke(*arguments, "--help").out


def test_the_first_page_names_every_command_by_who_uses_it() -> None:
    page = invoke("--help").out
    words = set(re.findall(r"\w+", page))
    named = [*main.SERVICE_HELP, *main.CONTRACT_HELP, *main.OPS_HELP, *main.LOG_HELP, *main.GROUP_HELP]
    for helps in (named, main.AGENT_HELP, main.QUERY_HELP, main.CHECKPOINT_HELP):
        assert set(helps) <= words
    for heading in (main.SERVICE, main.OPS, main.AGENTS, main.NOW, main.PAST, main.KEEP):
        assert f"\n  {heading} " in page


def test_connection_options_are_a_group_of_their_own() -> None:
    own, connection = invoke("query", "tasks", "--help").out, invoke("query", "tasks", "--help-connection").out
    assert "--help-connection" in own
    assert "--limit" in own
    for flag in ("--nats ", "--pool ", "--config ", "--data-dir ", "--nats-creds ", "--timeout "):
        assert flag not in own
        assert flag in connection
    assert "--limit" not in connection


def test_a_topic_that_the_page_names_exists() -> None:
    for arguments in ALL:
        with case(" ".join(arguments)):
            (topics,) = re.findall(r"More: --help-(\S+)", invoke(*arguments, "--help").out)
            for topic in topics.split("|"):
                assert invoke(*arguments, f"--help-{topic}").status == 0


def test_every_option_is_on_some_page() -> None:
    page = invoke("submit", "--help-all").out
    for flag in (
        "--task-id",
        "--deadline-s",
        "--delay",
        "--lease-mode",
        "--budget-failures",
        "--retry-delay",
        "--nats",
    ):
        assert f"{flag} " in page
    assert "Also --stall-s" in page
    assert "TIME: 10:00" in page


def test_a_name_may_be_written_with_a_dash() -> None:
    assert invoke("submit-many", "--help").out == invoke("submit_many", "--help").out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Free labels; some set a length. At most 32. May be repeated", "Free labels"),
        ("Order in the backlog; `urgent` means `critical`. Default: medium", "Order in the backlog"),
        ("Default: yes", ""),
        ("A `a; b` of (c; d) things; more", "A `a; b` of (c; d) things"),
        ("One line for people.", "One line for people"),
    ],
)
def test_the_first_clause_of_a_text(text: str, said: str) -> None:
    assert clause(text) == said


COMPLETIONS = {
    "bash": {"COMP_WORDS": "custody su", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "custody su"},
    "fish": {"_TYPER_COMPLETE_ARGS": "custody su", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}
PROGRAM = "import sys, infra.cli.main as m\ntry: m.main()\nfinally: print(*sys.modules, file=sys.stderr)"


def completed(shell: str, **variables: str) -> tuple[str, set[str]]:
    """What a shell is told, and the modules that were imported for it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(ROOT), "_CUSTODY_COMPLETE": f"complete_{shell}", **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_a_shell_completes_commands_without_importing_them(shell: str) -> None:
    out, modules = completed(shell, **COMPLETIONS[shell])
    assert re.findall(r"\bsubmit\w*", out) == ["submit", "submit_many"]
    assert {"rich", "pydantic_settings", "nats", "domain"} & modules == set()


def test_a_shell_completes_options_and_their_values() -> None:
    options, modules = completed("bash", COMP_WORDS="custody submit --pri", COMP_CWORD="2")
    assert options.split() == ["--priority"]
    assert {"rich", "nats"} & modules == set()
    values, _ = completed("bash", COMP_WORDS="custody submit --priority ", COMP_CWORD="3")
    assert values.split() == ["low", "medium", "high", "critical"]


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_a_shell_is_given_its_script(shell: str) -> None:
    done = subprocess.run(
        CUSTODY,
        cwd=ROOT,
        env={**os.environ, "_CUSTODY_COMPLETE": f"source_{shell}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert f"_CUSTODY_COMPLETE=complete_{shell}" in done.stdout


def test_completion_is_installed_for_the_shell_that_runs(tmp_path: Path) -> None:
    line = f"cd {ROOT} && {' '.join(CUSTODY)} --install-completion"
    done = subprocess.run(
        ["/bin/bash", "-c", f"{line}; true"],
        env={**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "bash completion installed" in done.stdout
    assert (tmp_path / ".bash_completions/custody.sh").is_file()
