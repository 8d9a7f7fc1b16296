"""The listing: it says what the commands say of themselves, and costs next to nothing."""

import inspect
import subprocess
import sys

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from infra.cli import main
from infra.cli.commands import asyncapi, checkpoint
from projections.queries.questions import QUERIES
from tests.infra.cli.conftest import invoke
from tests.support.cases import case


def first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def test_every_verb_and_view_is_listed_in_its_own_words() -> None:
    assert {verb: first_line(model) for verb, model in AGENT_COMMANDS.items()} == main.AGENT_HELP
    assert {verb: first_line(model) for verb, model in OPS_COMMANDS.items()} == main.OPS_HELP
    assert {view: first_line(model) for view, model in QUERIES.items()} == main.QUERY_HELP


def test_the_other_commands_are_listed_in_their_own_words() -> None:
    assert {"schema": first_line(asyncapi.schema)} == main.CONTRACT_HELP
    for listed in (main.SERVICE_HELP, main.LOG_HELP):
        assert {name: first_line(main.command_function(name)) for name in listed} == listed
    assert {name: first_line(getattr(checkpoint, name)) for name in main.CHECKPOINT_HELP} == main.CHECKPOINT_HELP


ALL = [
    *([name] for name in (*main.SERVICE_HELP, *main.CONTRACT_HELP, *main.OPS_HELP, *main.LOG_HELP)),
    *(["agent", name] for name in main.AGENT_HELP),
    *(["query", name] for name in main.QUERY_HELP),
    *(["checkpoint", name] for name in main.CHECKPOINT_HELP),
]


def test_every_command_has_help_and_every_client_command_names_broker_pool_and_json() -> None:
    for arguments in ALL:
        with case(" ".join(arguments)):
            result = invoke(*arguments, "--help-all")
            assert result.status == 0
            assert " ".join(arguments) in result.out
            assert "\x1b" not in result.out
            if arguments[0] not in {*main.SERVICE_HELP, *main.CONTRACT_HELP} and arguments[-1] != "keygen":
                flags = ("--nats ", "--pool ", "--json ", "--nats-creds ", "--timeout ")
                assert [flag for flag in flags if flag not in result.out] == []
                assert ("--actor " in result.out) == (arguments[0] in {*main.OPS_HELP, "audit"})


def test_the_listing_imports_neither_the_core_nor_the_broker() -> None:
    program = (
        "import sys; from infra.cli.main import cli\n"
        "try: cli()(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'nats', 'pydantic_settings', 'domain', 'projections', 'handlers', 'statemachine'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "submit" in done.stdout


def test_without_arguments_it_shows_its_help() -> None:
    result = invoke()
    assert "Usage: custody" in result.out + result.err


def test_a_misspelt_command_is_a_usage_error_with_a_suggestion() -> None:
    result = invoke("query", "tsks")
    assert result.status == 2
    assert "Did you mean" in result.err
