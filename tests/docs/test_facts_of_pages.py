"""Facts of the pages that other files decide: paths that they quote, the numbers of limits, the list of decisions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain import limits
from handlers.answering.pool_answers import MAX_WAITING_VIEWS
from handlers.ports import MAX_BATCH_MESSAGES
from handlers.writer.claim_line import MAX_WAITING, MAX_WAITING_PER_AGENT
from infra.settings.settings import Settings
from tests.docs.pages import PAGES, name_of
from tests.support.cases import case
from tests.support.checkout import ROOT

PACKAGES = (
    "domain|projections|handlers|infra|custody_dashboard|custody_demo|custody_eventsourcing"
    "|docs|examples|tests|requirements"
)
QUOTED = re.compile(rf"`((?:{PACKAGES})/[\w./-]*)`")

ENTRY = re.compile(r"(?m)^- \[(.+)\]\(([^)]+)\)(.*)$")
LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
"""The target of a link that stays in this checkout."""
FENCED = re.compile(r"(?ms)^```.*?^```$")
KIB = 1024


def quoted() -> Iterator[tuple[str, str]]:
    """Every path of this checkout that a page names, with the page's name."""
    for page in PAGES:
        for match in QUOTED.finditer(page.read_text(encoding="utf-8")):
            yield name_of(page), match[1]


def test_every_quoted_path_exists() -> None:
    found = list(quoted())
    assert len(found) > 100
    assert [each for each in found if not (ROOT / each[1]).exists()] == []


def test_the_map_has_every_page() -> None:
    leads_to = {Path(name).name for name in LINK.findall((ROOT / "docs/README.md").read_text(encoding="utf-8"))}
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(pages - leads_to) == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "client" / "README.md"], ids=name_of)
def test_every_link_leads_to_a_place(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        name, _, anchor = link.partition("#")
        file = page.parent / name if name else page
        with case(link):
            assert file.exists()
            assert not anchor or anchor in anchors(file)


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in links."""
    titles = re.findall(r"(?m)^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_has_every_decision_with_its_title_and_what_superseded_it() -> None:
    records = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    listed = {name: (title, note) for title, name, note in ENTRY.findall(index)}
    assert {name: title for name, (title, _) in listed.items()} == {
        name: text.partition("\n")[0].removeprefix("# ") for name, text in records.items()
    }
    assert list(listed) == sorted(records)
    for name, text in records.items():
        for number in re.findall(r"superseded by \[(\d+)\]", text.splitlines()[2]):
            with case(name):
                assert f"superseded by {number})" in listed[name][1]


def test_the_table_of_limits_says_what_the_code_does() -> None:
    settings = Settings.model_fields
    rows = {
        "request, reply": (
            f"{limits.MAX_REQUEST_BYTES // KIB} KiB, {limits.MAX_REPLY_BYTES // KIB**2} MiB;"
            f" a claim stops granting at {limits.MAX_CLAIM_REPLY_BYTES // KIB} KiB"
        ),
        "payload, checkpoint, result": (
            f"{limits.MAX_JSON_BYTES // KIB} KiB each as JSON, {limits.MAX_JSON_DEPTH} levels deep"
        ),
        "message, error": (
            f"{limits.MAX_TEXT_BYTES // KIB} KiB; a reason {limits.MAX_REASON_CHARS:,} characters,"
            f" a title {limits.MAX_TITLE_CHARS}"
        ),
        "leases of one agent": f"{limits.MAX_CAPACITY}",
        "tasks in one claim, one manual steal": f"{limits.MAX_CLAIM}, {limits.MAX_STEAL_TASKS}",
        "events of one command, one batch": f"{limits.MAX_EVENTS_PER_COMMAND:,}",
        "waiting claims": f"{MAX_WAITING:,} in a pool, {MAX_WAITING_PER_AGENT} of one agent",
        "commands in the queue": (
            f"{settings['queue_length'].default:,} and {settings['queue_bytes'].default // KIB**2} MiB (settings)"
        ),
        "views asked for at once": f"{MAX_WAITING_VIEWS:,}; they are made one after the other",
        "outcomes remembered": f"{settings['outcomes_remembered'].default:,} (setting)",
        "names": f"`{limits.NAME_PATTERN.strip('^$')}`",
    }
    assert limits.MAX_EVENTS_PER_COMMAND == MAX_BATCH_MESSAGES
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.partition("## Limits")[2].partition("\n## ")[0]
    assert dict(re.findall(r"(?m)^\| ([^|]+) \| ([^|]+) \|$", table)) == rows
