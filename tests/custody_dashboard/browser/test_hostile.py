"""Texts of the log stay texts, and do not break the layout."""

from __future__ import annotations

import pytest

from tests.custody_dashboard.browser.watcher import Watcher
from tests.support.dashboard import Stage

pytestmark = pytest.mark.system

MARKUP = '<img src=x onerror="window.owned=1"><script>window.owned=2</script>&lt;b&gt;{{7*7}}${7*7}\'"`'
TURNED = "\u202egnp.exe\u2066 \u05e9\u05dc\u05d5\u05dd"
SIGNS = "🔥👨‍👩‍👧‍👦🏳️‍🌈" * 20
LONG_WORD = "W" * 4096
HOSTILE_ID = "x/<b>&\"'?#%2F..//"


@pytest.fixture(scope="module", autouse=True)
def _hostile_pool(watched: tuple[Stage, object]) -> None:
    stage = watched[0]
    stage.ask("agent.hostile.register", capacity=9, session="s" * 64, labels=["<i>label</i>"])
    for number, text in enumerate((MARKUP, TURNED, SIGNS, LONG_WORD)):
        stage.ask("ops.submit", task_id=f"H{number}", title=text[:250], labels=["<u>"], payload={"<b>": text})
        token = stage.give(f"H{number}", "hostile")
        held = {"task_id": f"H{number}", "token": token}
        stage.ask("agent.hostile.progress", **held, percent=5, message=text[:2000], checkpoint={"<p>": text})
        stage.ask("agent.hostile.block", **held, reason="asks", question=text[:2000])
    for task_id in (HOSTILE_ID, "W" * 128):
        stage.ask("ops.submit", task_id=task_id, title=MARKUP)
        stage.give(task_id, "hostile")


VIEWS = (
    ("now", None),
    ("agents", None),
    ("agent", "hostile"),
    ("tasks", None),
    ("task", HOSTILE_ID),
    ("task", "W" * 128),
    *(("task", f"H{number}") for number in range(4)),
    ("steals", None),
    ("morning", None),
    ("past", None),
)


@pytest.mark.parametrize("width", [360, 1400])
def test_hostile_texts_stay_text_and_in_their_place(watcher: Watcher, width: int) -> None:
    watcher.look(width=width, height=800)
    for view, subject in VIEWS:
        watcher.go(view, subject)
        assert watcher.page.run("return window.owned") is None, view
        assert watcher.page.run("return document.querySelectorAll('img, script:not([type])').length") == 0, view
        root = "const root = document.documentElement; return root.scrollWidth - root.clientWidth"
        assert watcher.page.run(root) <= 0, (view, subject, width)


def test_signs_that_turn_or_hide_a_text_are_shown_as_codes(watcher: Watcher) -> None:
    watcher.look("task", "H1")
    watcher.sees("\\u202egnp.exe\\u2066", ".headline")
    watcher.sees("\u05e9\u05dc\u05d5\u05dd", ".headline")
    unseen = "/[\\u202a-\\u202e\\u2066-\\u2069]/"
    assert not watcher.page.run(f"return {unseen}.test(document.querySelector('main').innerText)")
    watcher.look("task", "H2")
    watcher.sees("\U0001f468\u200d\U0001f469\u200d\U0001f467", ".headline")


def test_hostile_texts_are_shown_as_written(watcher: Watcher) -> None:
    watcher.look("task", HOSTILE_ID)
    watcher.sees(MARKUP[:40], ".headline")
    watcher.sees(HOSTILE_ID, "h1")
