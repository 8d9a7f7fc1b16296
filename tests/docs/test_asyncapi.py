"""docs/asyncapi.yaml: it names everything, and fits what the service and its clients really send."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from docs.generate import DOCS
from docs.generator.asyncapi.schemas import FORMS
from docs.generator.verbs import VERBS
from domain.errors import RefusalCode
from domain.events import EVENT_TYPES
from tests.docs.events_of_every_type import messages
from tests.support.asyncapi import answers, document, references, resolve, validator
from tests.support.checkout import ROOT
from tests.support.node import node
from tests.support.pool_harness import PoolHarness


def test_it_has_every_verb_view_event_and_error() -> None:
    operations = document()["operations"]
    assert [name for name, each in operations.items() if each["action"] == "receive"] == [v.full_name for v in VERBS]
    sent = {name for each in operations.values() if each["action"] == "send" for name in names(each["messages"])}
    assert sent == set(EVENT_TYPES)
    errors = {f"error.{code.value}" for code in RefusalCode}
    assert errors == {name for name in document()["components"]["messages"] if name.startswith("error.")}
    assert errors == {name for verb in VERBS for name in answers(verb.full_name) if name.startswith("error.")}


def names(messages: list[dict[str, str]]) -> list[str]:
    return [resolve(each["$ref"])["name"] for each in messages]


def test_every_reference_leads_somewhere_and_every_component_is_referred_to() -> None:
    referred = set(references(document()))
    for each in referred:
        resolve(each)
    components = document()["components"]
    everything = {f"#/components/{kind}/{name}" for kind, named in components.items() for name in named}
    assert everything - referred == set()


def test_no_schema_is_there_twice_but_for_requests_and_events_with_the_same_fields() -> None:
    seen: dict[str, str] = {}
    own = {verb.full_name for verb in VERBS} | EVENT_TYPES.keys()
    for name, schema in document()["components"]["schemas"].items():
        if name in own:
            continue
        form = json.dumps({key: value for key, value in schema.items() if key != "description"}, sort_keys=True)
        assert seen.setdefault(form, name) == name, f"{name} is the same as {seen[form]}"
    assert set(FORMS) <= set(document()["components"]["schemas"])


def test_every_schema_is_of_the_dialect_that_asyncapi_reads() -> None:
    for schema in document()["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
        assert not {"$defs", "prefixItems", "unevaluatedProperties"} & set(keywords(schema))


@pytest.mark.timeout(300)
def test_the_official_parser_takes_it() -> None:
    place = ROOT / "tests" / "javascript"
    command: list[str | Path] = [node(place), place / "validate_asyncapi.js", DOCS / "asyncapi.yaml"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    said = json.loads(ran.stdout)
    # That there is a newer version of AsyncAPI is no fault: readers know 3.0.
    assert [each for each in said["found"] if each["code"] != "asyncapi-latest-version"] == []
    assert said["operations"] == len(document()["operations"])
    assert said["messages"] == len(document()["components"]["messages"])


def keywords(part: Any) -> list[str]:
    if isinstance(part, list):
        return [key for each in part for key in keywords(each)]
    if not isinstance(part, dict):
        return []
    assert "$ref" not in part or set(part) == {"$ref"}, f"draft-07 ignores what stands beside a $ref: {part}"
    return [*part, *(key for value in part.values() for key in keywords(value))]


def test_what_the_service_writes_fits() -> None:
    for message in messages():
        event = json.loads(message.body)
        validator(event["type"]).validate(event)
        validator(event["type"], "headers").validate(dict(message.headers))


async def test_replies_fit_and_errors_have_the_headers() -> None:
    pool = PoolHarness()
    await pool.start()
    token = await pool.holds("a", "T1")
    await pool.request("agent.a.progress", {"task_id": "T1", "token": token, "percent": 5, "checkpoint": {"n": 1}})
    await pool.request("agent.a.release", {"task_id": "T1", "token": token})
    await pool.request("agent.a.claim")
    await pool.request("agent.a.heartbeat", {"tasks": [{"task_id": "T1", "token": 1}]})
    await pool.request("agent.a.complete", {"task_id": "T1", "token": token})
    await pool.request("agent.nobody.claim")
    await pool.request("ops.cancel", {"status": "queued", "dry_run": True})
    await pool.request("ops.cancel", {"nonsense": 1})
    await pool.request("ops.pause")
    await pool.request("agent.a.claim")
    for verb in VERBS:
        if verb.kind == "query":
            await pool.request(verb.full_name, {"task_id": "T1"} if "task_id" in verb.model.model_fields else {})
    await pool.finish()
    for asked in pool.asked:
        kind, *_, name = asked.subject.split(".")
        request = f"{kind}.{name}"
        possible = answers(request)
        reply = asked.answer
        if asked.body != b'{"nonsense": 1}':
            validator(request).validate(json.loads(asked.body))
        if reply.ok:
            assert any(validator(each).is_valid(dict(reply)) for each in possible if each.startswith("reply."))
        else:
            assert f"error.{reply.code}" in possible
            validator(f"error.{reply.code}").validate(dict(reply))
            validator(f"error.{reply.code}", "headers").validate(reply.headers)


@pytest.mark.parametrize(
    ("message", "body"),
    [
        pytest.param("agent.claim", {"maximum": 1}, id="a field that is not there"),
        pytest.param("agent.claim", {"wait_s": 31}, id="a number out of range"),
        pytest.param("agent.progress", {"task_id": "T1", "percent": 1}, id="a command without its token"),
        pytest.param("ops.submit", {"task_id": "with blank"}, id="a task id with a blank"),
        pytest.param("ops.submit", {"budgets": {"nonsense": 1}}, id="a field that a part does not have"),
        pytest.param("query.tasks", {"status": "nonsense"}, id="a status that is none"),
        pytest.param(
            "reply.Terms", {"ok": True, "position": 1, "events": [], "result": {}}, id="a result without a key"
        ),
        pytest.param(
            "error.stale_token",
            {"ok": False, "error": {"code": "not_holder", "message": "", "details": {}}},
            id="another error",
        ),
    ],
)
def test_it_refuses(message: str, body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validator(message).validate(body)


def test_it_allows_what_may_be_added() -> None:
    result = {"expires_at": "2026-11-29T08:00:00.000000Z", "grace_s": 60, "directive": "continue", "new": 1}
    validator("reply.Terms").validate({"ok": True, "position": 1, "events": [], "result": result, "new": 1})
