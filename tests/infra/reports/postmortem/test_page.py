"""The file itself: it loads nothing, says so in its policy, and whatever comes from a log is only text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given

from domain.commands.service_commands import FillTail
from infra.reports.postmortem.render import embedded
from projections.postmortem.causes import Cause
from tests.infra.reports.postmortem.conftest import HOSTILE, html, story
from tests.support.checkout import ROOT
from tests.support.events import json_values
from tests.support.postmortem import found
from tests.support.scenario import OPS, Scenario

DOCS = ROOT / "docs" / "postmortem.md"


class Elements(HTMLParser):
    """What a parser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_nothing_in_it_points_outside(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    for tag, attributes in Elements(text).tags:
        assert tag not in {"img", "iframe", "link", "object", "embed", "form", "base", "i"}, tag
        assert not any(name.startswith("on") or name in {"src", "style"} for name in attributes), attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.findall(r"url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)", text)


def test_its_policy_allows_its_own_style_and_script_and_nothing_else(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(each.strip().partition(" ")[::2] for each in policy.replace("&#39;", "'").split(";"))
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy


def test_a_hostile_text_is_nowhere_in_it_as_it_was(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "onerror=&#34;" in text
    assert text.count("<script") == 2


@given(json_values)
def test_data_in_the_script_is_read_back_as_it_was_and_cannot_end_it(value: object) -> None:
    text = embedded(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_log_of_one_event_is_a_page() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    text = html(found(s))
    assert "None of the causes that this page knows applies" in text
    assert 'id="e1"' in text


@pytest.mark.parametrize("losses", [1, 2])
def test_a_finding_without_advice_leaves_no_gap(losses: int) -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    for filled_to in range(10, 10 * losses + 1, 10):
        s.asks(FillTail(acknowledged_to=5, filled_to=filled_to), actor="writer")
    text = html(found(s))
    assert text.count('<ul class="evidence">') == losses
    assert re.findall(r"<p>\s*</p>", text) == []
    assert ("<strong>the log lost its tail.</strong>" in text) == (losses > 1)


def test_the_same_log_gives_the_same_page() -> None:
    assert html(found(story())) == html(found(story()))


def test_every_cause_is_in_the_documentation() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [cause for cause in Cause if f"`{cause.value}`" not in text] == []
