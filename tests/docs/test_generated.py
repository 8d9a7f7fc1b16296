"""The generated pages and schemas say what the code does, and the code's own events fit the schemas."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from docs.generate import DOCS, out_of_date
from docs.generator import glossary
from docs.generator.files import generated
from docs.generator.replies.of_agents import AGENT_REPLIES
from docs.generator.replies.of_operators import OPS_REPLIES
from docs.generator.replies.of_queries import QUERY_REPLIES
from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from domain.events import EVENT_TYPES
from infra.settings.settings import Settings
from projections.queries.questions import QUERIES
from tests.docs.events_of_every_type import messages

NEVER_WRITTEN = {"custody.pool.expiry_held.v1", "custody.pool.expiry_resumed.v1"}
"""In the catalogue, folded and described; no command asks for them yet."""


@pytest.fixture(scope="module")
def log() -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in messages()]


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft202012Validator]:
    schemas = {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in DOCS.glob("schemas/*.json")}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    return {name: Draft202012Validator(schema) for name, schema in schemas.items()}


def test_every_generated_file_is_current() -> None:
    assert out_of_date() == [], "run: python -m docs.generate"


def test_there_is_a_schema_for_each_event_type(validators: dict[str, Draft202012Validator]) -> None:
    assert validators.keys() == EVENT_TYPES.keys()


def test_what_the_service_writes_fits_the_schemas(
    log: list[dict[str, Any]], validators: dict[str, Draft202012Validator]
) -> None:
    for event in log:
        validators[event["type"]].validate(event)
    assert {event["type"] for event in log} == EVENT_TYPES.keys() - NEVER_WRITTEN


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("time",), "2026-11-21T08:00:00Z", id="a time without its six decimals"),
        pytest.param(("id",), 12, id="a position that is no text"),
        pytest.param(("id",), "0", id="a position below 1"),
        pytest.param(("subject",), "agent/whole", id="another entity's subject"),
        pytest.param(("type",), "custody.task.leased.v2", id="another type"),
        pytest.param(("actor",), "somebody", id="an actor of no kind"),
        pytest.param(("data", "token"), "12", id="a token that is no number"),
        pytest.param(("data", "expires_at"), "soon", id="an expiry that is no time"),
        pytest.param(("data", "agent_id"), None, id="a holder that is null"),
    ],
)
def test_the_schemas_refuse(
    path: tuple[str, ...], value: Any, log: list[dict[str, Any]], validators: dict[str, Draft202012Validator]
) -> None:
    event = json.loads(json.dumps(next(each for each in log if each["type"] == "custody.task.leased.v1")))
    place = event
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        validators["custody.task.leased.v1"].validate(event)


def test_the_schemas_allow_what_may_be_added(
    log: list[dict[str, Any]], validators: dict[str, Draft202012Validator]
) -> None:
    event = next(each for each in log if each["type"] == "custody.task.leased.v1")
    validators[event["type"]].validate({**event, "new": 1, "data": {**event["data"], "new": 1}})


def test_every_verb_and_view_has_its_reply_described() -> None:
    assert AGENT_REPLIES.keys() == AGENT_COMMANDS.keys()
    assert OPS_REPLIES.keys() == OPS_COMMANDS.keys()
    assert QUERY_REPLIES.keys() == QUERIES.keys()


def test_every_setting_is_listed_once() -> None:
    page = (DOCS / "settings.md").read_text()
    listed = re.findall(r"(?m)^\| `(\w+)` \| `--", page)
    assert sorted(listed) == sorted(Settings.model_fields.keys() - {"config"})


def test_the_glossary_holds_only_words_that_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()

    def lookup(model: str, field: str) -> str | None:
        asked.update({f"{model}.{field}"} & set(glossary.entries()) or {field})
        return found(model, field)

    found = glossary.lookup
    monkeypatch.setattr(glossary, "lookup", lookup)
    generated()
    assert [each for each in glossary.entries() if each not in asked] == [], "the code says it now: remove these"


def test_links_between_pages_resolve() -> None:
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]
    broken = [
        f"{page.relative_to(DOCS.parent)}: {link}" for page in pages for link in links(page) if not leads(page, link)
    ]
    assert broken == []


def links(page: Path) -> list[str]:
    text = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def leads(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
