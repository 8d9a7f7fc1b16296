"""What the client library knows of the wire contract agrees with the service, and it imports nothing else."""

import ast
import inspect
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

import custody_client
from custody_client import errors, limits, wire
from docs.generator.replies.leases import Lease
from docs.generator.replies.of_queries import QUERY_REPLIES
from domain import limits as contract_limits
from domain.commands.agent_commands import AGENT_COMMANDS
from domain.errors import RefusalCode
from domain.events.task import Handoff
from domain.statuses import TERMINAL
from domain.subjects import subject_token
from handlers.ports import ACTOR_HEADER
from tests.support.checkout import ROOT

PACKAGE = Path(custody_client.__file__).parent
SENT_BY_AGENTS = {
    *("register", "heartbeat", "claim", "lease", "start", "progress", "silence", "release", "block"),
    *("complete", "fail", "deregister"),
}
RESERVED = {"rate_limited", "banned"}
"""Codes that the contract has reserved for later versions."""


def fields(kind: type[msgspec.Struct]) -> set[str]:
    return {each.encode_name for each in msgspec.structs.fields(kind)}


def test_each_code_has_an_error_of_its_own() -> None:
    assert set(errors.Refused.all_codes) == {code.value for code in RefusalCode} | RESERVED
    assert all(errors.Refused.all_codes[code].code == code for code in errors.Refused.all_codes)


def test_a_code_of_a_later_version_is_a_refusal_too() -> None:
    refused = errors.refusal("too_late", "it is too late", {})
    assert type(refused) is errors.Refused
    assert refused.code == "too_late"


def test_commands_are_sent_again_after_what_says_that_the_outcome_is_not_known() -> None:
    again = {RefusalCode.OVERLOADED, RefusalCode.NOT_WRITER, RefusalCode.UNAVAILABLE}
    assert {code.value for code in again} | {"rate_limited"} == errors.TRY_AGAIN


def test_every_command_of_agents_is_known() -> None:
    assert set(AGENT_COMMANDS) == SENT_BY_AGENTS


def test_documents_have_the_contracts_names() -> None:
    assert fields(wire.Lease) == set(Lease.model_fields)
    assert fields(wire.TaskState) <= set(QUERY_REPLIES["task"].keys)
    assert fields(wire.Explanation) == set(QUERY_REPLIES["explain"].keys)
    assert fields(wire.Handoff) <= set(Handoff.model_fields)
    assert {each.value for each in TERMINAL} == wire.ENDS


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (limits.MAX_REQUEST_BYTES, contract_limits.MAX_REQUEST_BYTES),
        (limits.MAX_JSON_BYTES, contract_limits.MAX_JSON_BYTES),
        (limits.MAX_TEXT_BYTES, contract_limits.MAX_TEXT_BYTES),
        (limits.MAX_REASON_CHARS, contract_limits.MAX_REASON_CHARS),
        (limits.MAX_CLAIM, contract_limits.MAX_CLAIM),
        (limits.MAX_CLAIM_WAIT_S, contract_limits.MAX_CLAIM_WAIT_S),
        (limits.MAX_SILENCE_S, contract_limits.MAX_SILENCE_S),
        (limits.MAX_SLOTS, contract_limits.MAX_CAPACITY),
    ],
)
def test_limits_are_the_contracts(ours: float, theirs: float) -> None:
    assert ours == theirs


@pytest.mark.parametrize("task_id", ["T1", "owner/repo#12", "a.b*c>d", "100%", "x" * 128])
def test_a_task_id_is_escaped_alike(task_id: str) -> None:
    assert wire.subject_token(task_id) == subject_token(task_id)


def test_the_actor_is_named_in_the_contracts_header() -> None:
    assert f'"{ACTOR_HEADER}"' in inspect.getsource(custody_client.calls)


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_the_library_needs_nats_and_msgspec_alone() -> None:
    found = set().union(*map(imported, PACKAGE.glob("*.py")))
    assert found - set(sys.stdlib_module_names) == {"custody_client", "msgspec", "nats"}
    project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {each.partition(">")[0] for each in project["dependencies"]} == {"msgspec", "nats-py"}


def test_every_public_name_says_what_it_is() -> None:
    for name in custody_client.__all__:
        public = getattr(custody_client, name)
        assert inspect.getdoc(public), name
        if inspect.isclass(public):
            for member, value in vars(public).items():
                if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    assert inspect.getdoc(value), f"{name}.{member}"


def test_it_says_that_it_has_types() -> None:
    assert (PACKAGE / "py.typed").exists()
