"""What a request body may hold, field by field; whatever else it holds is refused and named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.command import Command
from domain.commands.operator_commands import OPS_COMMANDS
from tests.support.cases import case

VERBS: dict[str, type[Command]] = {
    **AGENT_COMMANDS,
    **{f"ops.{verb}" if verb in AGENT_COMMANDS else verb: model for verb, model in OPS_COMMANDS.items()},
}
ON_TASK: dict[str, Any] = {"task_id": "T", "token": 1}
REQUIRED: dict[str, dict[str, Any]] = {verb: {} for verb in VERBS} | {
    "lease": ON_TASK,
    "start": ON_TASK,
    "progress": ON_TASK | {"percent": 0},
    "silence": ON_TASK | {"for_s": 1.0, "reason": "r"},
    "release": ON_TASK,
    "block": ON_TASK | {"reason": "r"},
    "complete": ON_TASK,
    "fail": ON_TASK | {"error": "e"},
    "assign": {"task_id": "T"},
    "cancel": {"task_id": "T"},
    "requeue": {"task_id": "T"},
    "unblock": {"task_id": "T"},
    "revoke": {"task_id": "T"},
    "ops.complete": {"task_id": "T"},
    "ops.fail": {"task_id": "T", "error": "e"},
    "ops.block": {"task_id": "T", "reason": "r"},
    "submit_many": {"tasks": [{}]},
    "update": {"task_id": "T", "title": "t"},
    "retry": {"task_id": "T"},
    "annotate": {"kind": "k", "task_id": "T"},
    "ops.deregister": {"agent_id": "A"},
    "forget": {"older_than_s": 1},
    "steal": {"from": "A", "to": "B"},
    "load": {"agent_id": "A", "load": {}},
}
"""What each verb must be given: the bold fields of the wire contract."""

ONE_OF = {"cancel": {"task_id"}, "requeue": {"task_id"}, "update": {"title"}, "annotate": {"task_id"}}
"""Of these and other fields one is needed."""

Values = tuple[list[Any], list[Any]]
"""Those that are taken, and those that are refused."""

NAMES: Values = (["T", "a-b_C9", "x" * 64], ["", "x" * 65, "a.b", "a b", "a\n", "ä", "*", ">", 1, None, ["T"]])
TOKENS: Values = ([1, 2**63 - 1], [0, -1, 2**63, 1.5, "1", True, None])
FREE_JSON: Values = (
    [None, 0, -1.5, "text", [], {}, {"a": [1, {"b": None}]}, 2**64 - 1, -(2**63), "x" * 65_000, "\U0001f600"],
    [2**64, -(2**63) - 1, "\0", {"\0": 1}, [["\0"]], "x" * 65_537, float("nan"), float("inf"), float("-inf")],
)
REASON: Values = (["", "because", "x" * 1024], ["x" * 1025, "\0", 1, {}])
NOTE: Values = (["", "x" * 4096, "ä" * 2048], ["x" * 4097, "ä" * 2049, "\0", 5])
LABELS: Values = ([[], ["a"], ["a", "a"], ["x" * 64] * 32], ["a", [""], ["x" * 65], ["x"] * 33, [1], ["\0"], None])
CAPABILITIES: Values = ([[], ["gpu"], ["x" * 64] * 64], ["gpu", [""], ["x" * 65], ["x"] * 65, [1], ["\0"], None])
TASK_IDS: Values = (
    [*NAMES[0], "owner/repo#12", "a.b", "*", ">", "%2F", "x" * 128],
    ["", "x" * 129, "a b", "a\n", "a\0", "\u00e4", 1, None, ["T"]],
)
SESSION: Values = (["s", "a-b_C9", "x" * 64, None], ["", "x" * 65, "a.b", "a b", "\0", 1, ["s"]])
COMMAND_ID: Values = (["c", "x" * 128, None], ["", "x" * 129, "\0", 1])
LOADS: Values = (
    [None, {}, {"cpu": 0}, {"cpu": 100.0, "memory": 0.5}],
    [{"cpu": -1}, {"cpu": 100.1}, {"memory": "1"}, {"disk": 1}, {"cpu": None}, 5, {"cpu": float("nan")}],
)
VOUCHED: Values = (
    [None, [], [ON_TASK], [ON_TASK] * 500],
    [
        [{"task_id": "T"}],
        [{"token": 1}],
        [ON_TASK | {"x": 1}],
        [ON_TASK] * 501,
        ["T"],
        ON_TASK,
        [ON_TASK | {"token": "1"}],
    ],
)
LEASES: Values = (
    [
        None,
        {},
        {"mode": "adaptive", "max_renewals": 0, "max_lease_s": 60, "silence_multiplier": 1},
        {"mode": "fixed", "lease_s": 0.1, "grace_s": 0},
        {"mode": "estimated", "default_hours": 1, "min_hours": 1, "max_hours": 1, "renewal_decay": 0.5, "grace_s": 1},
        {"lease_s": 5},
    ],
    [
        "fixed",
        {"mode": "other"},
        {"mode": "fixed", "default_hours": 1},
        {"mode": "estimated", "lease_s": 5},
        {"mode": "adaptive", "grace_s": 5},
        {"mode": "adaptive", "renewal_decay": 0.5},
        {"lease_s": 0},
        {"lease_s": "5"},
        {"max_renewals": 1.5},
        {"max_renewals": -1},
        {"silence_multiplier": 0.5},
        {"max_lease_s": float("inf")},
        {"min_hours": 2, "max_hours": 1},
        {"leese_s": 5},
    ],
)
BUDGETS: Values = (
    [{}, {"failures": 1, "expiries": 1, "steals": 0, "attempts": 1000, "releases": 1}],
    [
        None,
        {"failures": 0},
        {"attempts": 0},
        {"releases": 0},
        {"expiries": 1001},
        {"steals": -1},
        {"failures": 1.5},
        {"others": 1},
        [],
    ],
)
RETRY: Values = (
    [None, {}, {"delay_s": 0}, {"delay_s": 600}, {"delay_s": 5, "backoff": 1, "max_delay_s": 5}, {"max_delay_s": 0}],
    [
        *("soon", []),
        *({"delay_s": -1}, {"delay_s": "1"}, {"delay_s": float("inf")}, {"backoff": 0.5}, {"backoff": 101}),
        *({"max_delay_s": None}, {"attempts": 3}, {"delay_s": 5, "max_delay_s": 4}),
    ],
)
MOMENTS: Values = (
    ["2026-11-21T08:00:00Z", "2026-11-21T08:00:00.123456+05:30", "9999-12-31T23:59:59.999999Z", None],
    ["2026-11-21", "2026-11-21T08:00:00", "soon", 5, "", "0001-01-01T00:00:00+01:00", "2026-13-01T00:00:00Z"],
)

TASKS: Values = (
    [[{}], [{"task_id": "T", "payload": 1}] * 1000],
    [[], [{}] * 1001, {}, None, [1], [{"x": 1}], [{"command_id": "c"}]],
)

FIELDS: list[tuple[str, str, Values]] = [
    *((verb, "command_id", COMMAND_ID) for verb in VERBS),
    *((verb, "session", SESSION) for verb in AGENT_COMMANDS),
    *((verb, "task_id", TASK_IDS) for verb in VERBS if "task_id" in REQUIRED[verb]),
    # Each field of a filter excludes the task.
    *((verb, field, ([None], ["x", 1])) for verb in ("cancel", "requeue") for field in ("label", "status", "priority")),
    *((verb, "dry_run", ([False], [True, 1, "yes"])) for verb in ("cancel", "requeue")),
    *((verb, "token", TOKENS) for verb in VERBS if "token" in REQUIRED[verb]),
    ("submit", "task_id", ([*TASK_IDS[0], None], TASK_IDS[1][:-2])),
    ("submit", "title", (["", "x" * 256], ["x" * 257, "\0", 1, None])),
    ("submit", "payload", FREE_JSON),
    ("submit", "priority", (["low", "medium", "high", "critical", "urgent"], ["URGENT", "", 1, None])),
    ("submit", "labels", LABELS),
    ("submit", "required_capabilities", CAPABILITIES),
    ("submit", "estimated_hours", ([None, 0.1, 8, 10_000], [0, -1, 10_001, "8", float("nan"), True])),
    ("submit", "deadline", MOMENTS),
    ("submit", "deadline_s", ([None, 0, 3600, 315_360_000], [-1, 315_360_001, "60", float("inf")])),
    ("submit", "lease", LEASES),
    ("submit", "on_silence", (["requeue", "stuck"], ["fail", "", None, 1])),
    ("submit", "budgets", BUDGETS),
    ("submit", "retry", RETRY),
    ("submit", "not_before", MOMENTS),
    ("submit", "delay_s", ([None, 0, 0.5, 315_360_000], [-1, 315_360_001, "60", True, float("inf")])),
    ("submit", "stall_s", ([None, 0, 0.5, 2_592_000], [-1, 2_592_001, "60", float("inf"), True])),
    ("submit", "on_stall", (["flag", "requeue", None], ["stuck", "", 1])),
    ("submit_many", "tasks", TASKS),
    ("update", "priority", (["low", "urgent", None], ["URGENT", "", 1])),
    ("update", "title", (["", "x" * 256], ["x" * 257, "\0", 1, None])),
    ("update", "labels", ([*LABELS[0], None], LABELS[1][:-1])),
    ("update", "deadline", MOMENTS),
    ("update", "deadline_s", ([None, 0, 3600, 315_360_000], [-1, 315_360_001, "60", float("inf")])),
    ("update", "no_deadline", ([True, False], ["yes", 1, None])),
    ("update", "not_before", MOMENTS),
    ("update", "delay_s", ([None, 0, 0.5, 315_360_000], [-1, 315_360_001, "60", True, float("inf")])),
    ("retry", "new_id", ([*TASK_IDS[0], None], TASK_IDS[1][:-2])),
    ("retry", "reason", ([*REASON[0], None], REASON[1])),
    ("annotate", "kind", NAMES),
    ("annotate", "agent_id", ([None], ["A", "a.b"])),
    ("annotate", "note", ([*NOTE[0], None], NOTE[1])),
    ("annotate", "data", ([None, {"a": [1]}, "x" * 16_382], ["x" * 16_383, "\0", 2**64])),
    ("ops.deregister", "agent_id", NAMES),
    *((verb, "reason", ([*REASON[0], None], REASON[1])) for verb in ("ops.deregister", "forget")),
    ("forget", "older_than_s", ([0, 0.5, 86_400], [-1, None, "1", float("inf")])),
    ("assign", "agent_id", ([*NAMES[0], None], NAMES[1][:-2])),
    *((verb, "reason", ([*REASON[0], None], REASON[1])) for verb in ("cancel", "requeue", "unblock", "revoke")),
    ("steal", "from", (["A", "x" * 64], [*NAMES[1], "B"])),
    ("steal", "to", (["B", "x" * 64], [*NAMES[1], "A"])),
    ("steal", "task_ids", ([None, ["T"], ["T"] * 200], [[], ["T"] * 201, ["a b"], "T", [1]])),
    ("steal", "count", ([None, 1, 200], [0, 201, 1.5, "1", True])),
    ("steal", "reason", ([*REASON[0], None], REASON[1])),
    *((verb, "agent_id", ([*NAMES[0], None], NAMES[1][:-2])) for verb in ("drain", "pause", "resume")),
    *((verb, "reason", ([*REASON[0], None], REASON[1])) for verb in ("drain", "pause", "resume")),
    ("drain", "deadline_s", ([None], [-1, "60", float("inf"), 60])),
    ("register", "capabilities", CAPABILITIES),
    ("register", "priority", ([0, 1, 2.5, 100], [-1, 101, "1", None, float("nan")])),
    ("register", "capacity", ([1, 500], [0, 501, 1.5, "1", None, True])),
    ("register", "labels", LABELS),
    ("heartbeat", "load", LOADS),
    ("heartbeat", "tasks", VOUCHED),
    ("heartbeat", "alive", ([True, False], [0, 1, "true", None])),
    ("load", "agent_id", NAMES),
    ("load", "load", (LOADS[0][1:], [*LOADS[1], None])),
    ("claim", "max", ([1, 100], [0, 101, 1.5, "1", None, True])),
    ("claim", "wait_s", ([0, 0.5, 30], [-1, 30.1, "1", None, float("inf")])),
    ("progress", "percent", ([0, 100], [-1, 101, 50.0, 50.5, "50", None, True])),
    ("progress", "message", ([*NOTE[0], None], NOTE[1])),
    ("progress", "checkpoint", FREE_JSON),
    ("silence", "for_s", ([0.001, 3600], [0, -1, 3600.1, "60", None, float("nan")])),
    ("silence", "reason", (REASON[0], [*REASON[1], None])),
    ("release", "checkpoint", FREE_JSON),
    ("release", "reason", ([*REASON[0], None], REASON[1])),
    ("release", "delay_s", ([0, 0.5, 315_360_000], [-1, 315_360_001, "1", None, float("inf")])),
    ("fail", "delay_s", ([0, 0.5, 315_360_000, None], [-1, 315_360_001, "1", float("inf")])),
    *((verb, "reason", (REASON[0], [*REASON[1], None])) for verb in ("block", "ops.block")),
    *((verb, "question", ([*NOTE[0], None], NOTE[1])) for verb in ("block", "ops.block")),
    ("unblock", "answer", ([*NOTE[0], None], NOTE[1])),
    *((verb, "result", FREE_JSON) for verb in ("complete", "ops.complete")),
    *((verb, "error", (NOTE[0], [*NOTE[1], None])) for verb in ("fail", "ops.fail")),
    *((verb, "retryable", ([True, False], [0, 1, "true", None])) for verb in ("fail", "ops.fail")),
]  # fmt: skip


def show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:20]}... {len(text)} characters"


def read(verb: str, body: bytes) -> Command:
    return VERBS[verb].model_validate_json(body)


def with_field(verb: str, field: str, value: Any) -> bytes:
    return json.dumps(REQUIRED[verb] | {field: value}).encode()


@pytest.mark.parametrize(("verb", "field", "values"), [pytest.param(*each, id=".".join(each[:2])) for each in FIELDS])
def test_a_field_takes_and_refuses(verb: str, field: str, values: Values) -> None:
    good, bad = values
    for value in good:
        with case(show(value)):
            command = read(verb, with_field(verb, field, value))
            assert field in command.model_dump(exclude_unset=True)
    for value in bad:
        with case(show(value)):
            with pytest.raises(ValidationError) as caught:
                read(verb, with_field(verb, field, value))
            named = {error["loc"][0] for error in caught.value.errors() if error["loc"]}
            # Two fields that exclude each other are the whole request's fault.
            assert named <= {field}


@pytest.mark.parametrize("verb", VERBS)
def test_every_field_is_in_the_tables(verb: str) -> None:
    fields = {info.alias or name for name, info in VERBS[verb].model_fields.items()}
    assert fields == {field for each, field, _ in FIELDS if each == verb}
    required = {info.alias or n for n, info in VERBS[verb].model_fields.items() if info.is_required()}
    assert required == set(REQUIRED[verb]) - ONE_OF.get(verb, set())


@pytest.mark.parametrize("verb", VERBS)
def test_a_required_field_may_not_be_missing(verb: str) -> None:
    read(verb, json.dumps(REQUIRED[verb]).encode())
    for field in REQUIRED[verb].keys() - ONE_OF.get(verb, set()):
        body = {name: value for name, value in REQUIRED[verb].items() if name != field}
        with pytest.raises(ValidationError) as caught:
            read(verb, json.dumps(body).encode())
        assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [((field,), "missing")]


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_field_is_refused_and_named(verb: str) -> None:
    for field in ("tokn", "from_agent", "verb", "", "__class__"):
        with case(field):
            with pytest.raises(ValidationError) as caught:
                read(verb, with_field(verb, field, 1))
            assert ((field,), "extra_forbidden") in [(error["loc"], error["type"]) for error in caught.value.errors()]


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"x"', b"{", b"{}}", b"\xff", b'{"title": "\xff"}', b'{"title": "\\ud800"}', b"{'a': 1}"],
    ids=repr,
)
def test_what_is_no_json_object_in_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        read("submit", body)


@pytest.mark.parametrize(("depth", "good"), [(63, True), (64, True), (65, False), (190, False), (100_000, False)])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_nesting_has_a_limit(depth: int, *, good: bool, opening: str, closing: str) -> None:
    body = f'{{"payload": {opening * depth}1{closing * depth}}}'.encode()
    if good:
        read("submit", body)
        return
    with pytest.raises(ValidationError):
        read("submit", body)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "9" * 5000], ids=show)
def test_numbers_beyond_what_others_can_read_are_refused(number: str) -> None:
    with pytest.raises(ValidationError):
        read("submit", f'{{"payload": {number}}}'.encode())


def test_a_moment_and_a_delay_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        read("submit", b'{"not_before": "2026-11-21T08:00:00Z", "delay_s": 5}')


def test_two_deadlines_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        read("submit", b'{"deadline": "2026-11-21T08:00:00Z", "deadline_s": 5}')


def test_task_ids_and_count_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        read("steal", b'{"from": "A", "to": "B", "task_ids": ["T"], "count": 1}')


def test_only_a_sign_of_life_vouches_for_tasks() -> None:
    with pytest.raises(ValidationError, match="alive"):
        read("heartbeat", b'{"alive": false, "tasks": [], "load": {}}')


def test_a_note_is_beside_one_thing_and_an_update_changes_something() -> None:
    for verb, body in (
        ("annotate", {"kind": "k"}),
        ("annotate", {"kind": "k", "task_id": "T", "agent_id": "A"}),
        ("update", {"task_id": "T"}),
        ("update", {"task_id": "T", "no_deadline": False}),
        ("update", {"task_id": "T", "deadline_s": 5, "deadline": "2026-11-21T08:00:00Z"}),
        ("update", {"task_id": "T", "deadline_s": 5, "no_deadline": True}),
        ("update", {"task_id": "T", "deadline": "2026-11-21T08:00:00Z", "no_deadline": True}),
    ):
        with pytest.raises(ValidationError):
            read(verb, json.dumps(body).encode())


def test_the_verbs_are_the_contracts() -> None:
    agent = "register heartbeat claim lease start progress silence release block complete fail deregister"
    ops = (
        "submit submit_many assign cancel requeue unblock revoke complete fail block update retry annotate steal drain"
        " pause resume load deregister forget"
    )
    assert list(AGENT_COMMANDS) == agent.split()
    assert list(OPS_COMMANDS) == ops.split()
