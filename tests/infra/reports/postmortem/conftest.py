"""Pages of scenarios, and a browser to look at them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.reports.postmortem.render import Heading, page
from projections.postmortem.report import Postmortem
from tests.support.browser import Page, browser
from tests.support.postmortem import found
from tests.support.scenario import OPS, Scenario

HOSTILE = '</script><script>window.owned=1</script><img src=x onerror="window.owned=2">&lt;b&gt;"\'{{7*7}}]]>--><!--'


def html(made: Postmortem, title: str = "task T", notices: tuple[str, ...] = ()) -> str:
    return page(made, Heading(title, "default", "custody 0.0.0", datetime(2026, 11, 21, tzinfo=UTC), notices))


def story() -> Scenario:
    """A falls silent on T, which B then completes; U is stolen for B; a report comes late. All texts are hostile."""
    s = Scenario()
    s.given("A", "register", capacity=5, capabilities=["git"])
    s.given("B", "register", capacity=5)
    for task_id in ("T", "U"):
        s.given(OPS, "submit", task_id=task_id, title=HOSTILE, labels=["<i>"])
        s.given(OPS, "assign", task_id=task_id, agent_id="A")
    token = s.token("T")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["U"], reason=HOSTILE)
    for at in (50, 100, 150):
        s.at(at).given("A", "progress", task_id="T", token=token, percent=at // 2, message=HOSTILE)
    s.given("B", "heartbeat")
    s.at(160).given("A", "silence", task_id="T", token=token, for_s=30, reason=HOSTILE)
    s.sweep(at=5000)
    s.at(5005).when("A", "progress", task_id="T", token=token, percent=90, message=HOSTILE)
    (lease,) = s.at(5010).given("B", "claim").result["leases"]
    s.at(5060).given("B", "fail", task_id=lease["task_id"], token=lease["token"], error=HOSTILE)
    return s


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story as a page."""
    file = tmp_path_factory.mktemp("pages") / "story.html"
    file.write_text(html(found(story()), title=HOSTILE, notices=(HOSTILE,)), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def shared_page() -> Iterator[Page]:
    with browser() as chrome:
        yield Page(chrome)


@pytest.fixture
def at_page(shared_page: Page, written: Path) -> Page:
    """The story, freshly loaded."""
    shared_page.open(written)
    return shared_page
