"""The page for everyone: by keyboard, by screen reader, on a phone, in dark and light."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.custody_dashboard.browser.watcher import Watcher
from tests.support.checkout import ROOT
from tests.support.dashboard import Stage
from tests.support.node import node

pytestmark = pytest.mark.system

JAVASCRIPT = ROOT / "tests" / "javascript"
VIEWS = (
    ("now", None),
    ("agents", None),
    ("agent", "axe-agent"),
    ("tasks", None),
    ("task", "axe-1"),
    ("task", "axe-2"),
    ("task", "axe-long"),
    ("task", "axe-asks"),
    ("steals", None),
    ("statistics", None),
    ("past", None),
    ("morning", None),
)
LONG = "What now? " * 200
RUN_AXE = """
const done = arguments[arguments.length - 1];
const words = node => `${node.html.slice(0, 200)} ${node.failureSummary}`;
axe.run({resultTypes: ['violations']}).then(found => done(found.violations.map(each =>
  `${each.id}: ${each.help}: ${each.nodes.map(words).join(' | ')}`)));
"""


@pytest.fixture(scope="module", autouse=True)
def _busy_pool(watched: tuple[Stage, object]) -> None:
    stage = watched[0]
    stage.ask("agent.axe-agent.register", capacity=3)
    for number in (1, 2, 3):
        stage.ask("ops.submit", task_id=f"axe-{number}", title=f"Task {number}", payload={"n": number})
    token = stage.give("axe-1", "axe-agent")
    held = {"task_id": "axe-1", "token": token}
    stage.ask("agent.axe-agent.progress", **held, percent=30, message="half of it", checkpoint=[1])
    stage.ask("ops.block", task_id="axe-2", reason="asks", question="Which one?")
    stage.ask("ops.cancel", task_id="axe-3")
    stage.ask("agent.asker.register", capacity=1)
    stage.ask("ops.submit", task_id="axe-long", title="W" * 250)
    held = {"task_id": "axe-long", "token": stage.give("axe-long", "asker")}
    stage.ask("agent.asker.progress", **held, percent=30, message=LONG)
    stage.ask("agent.asker.block", **held, reason="asks", question=LONG)
    stage.ask("ops.unblock", task_id="axe-long", answer=LONG)
    held = {"task_id": "axe-long", "token": stage.give("axe-long", "asker")}
    stage.ask("agent.asker.progress", **held, percent=40, message=LONG)
    stage.ask("ops.submit", task_id="axe-asks", title="W" * 250)
    stage.ask("ops.block", task_id="axe-asks", reason="asks", question=LONG)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(watcher: Watcher, scheme: str) -> None:
    node(JAVASCRIPT)
    axe = (JAVASCRIPT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    watcher.look(scheme=scheme)
    watcher.page.run(axe)
    for view, subject in VIEWS:
        watcher.go(view, subject)
        assert watcher.page.chrome.execute_async_script(RUN_AXE) == [], (view, subject, scheme)


def test_axe_finds_nothing_in_a_dialog_the_sheet_of_keys_and_the_past(watcher: Watcher) -> None:
    node(JAVASCRIPT)
    axe = (JAVASCRIPT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    watcher.look("task", "axe-2")
    watcher.click(".row-actions button", "Answer")
    watcher.sees("Which one?", "dialog")
    watcher.page.run(axe)
    assert watcher.page.chrome.execute_async_script(RUN_AXE) == []
    watcher.page.press(Keys.ESCAPE)
    watcher.sees_no_more("dialog")
    watcher.go("task", "axe-asks")
    watcher.click(".row-actions button", "Answer")
    watcher.sees("What now?", "dialog")
    assert watcher.page.chrome.execute_async_script(RUN_AXE) == []
    watcher.page.press(Keys.ESCAPE)
    watcher.sees_no_more("dialog")
    watcher.page.press("?")
    watcher.sees("Keys and signs", "dialog")
    assert watcher.page.chrome.execute_async_script(RUN_AXE) == []
    watcher.page.press(Keys.ESCAPE)
    watcher.sees_no_more("dialog")
    watcher.click(".plain td a")
    watcher.sees("Back to the present")
    assert watcher.page.chrome.execute_async_script(RUN_AXE) == []


def test_the_keyboard_reaches_everything(watcher: Watcher) -> None:
    watcher.look()
    watcher.page.press(Keys.TAB)
    assert watcher.focused() == "Skip to the content"
    watcher.page.press(Keys.ENTER)
    assert watcher.page.run("return document.activeElement.id") == "main"
    watcher.page.press("3")
    watcher.sees("axe-1", ".rows")
    assert watcher.page.run("return document.activeElement.id") == "main", "a screen reader starts at the new view"
    watcher.page.press("/")
    watcher.page.until("return document.activeElement.id === 'search'")
    watcher.type("#search", "axe-1")
    watcher.sees_ids("axe-1")
    watcher.page.run("document.querySelector('.table-box').focus()")
    watcher.page.press(Keys.ARROW_DOWN)
    watcher.page.until("return document.activeElement.innerText === 'axe-1'")
    watcher.page.press(Keys.ENTER)
    watcher.sees("Why, and what next")


def test_the_keyboard_walks_the_lanes_and_they_say_what_they_are(watcher: Watcher) -> None:
    watcher.look()
    watcher.page.run("document.querySelector('.lanes-box').focus()")
    for _ in range(30):
        watcher.page.press(Keys.ARROW_DOWN)
        if "axe-1" in watcher.text(".tip"):
            break
    watcher.sees("axe-1 by axe-agent", ".tip")
    assert "axe-1 by axe-agent" in watcher.page.run("return document.querySelector('.lanes [aria-live]').textContent")
    watcher.page.press(Keys.ENTER)
    watcher.sees("Why, and what next")


def test_a_dialog_keeps_the_focus_and_gives_it_back(watcher: Watcher) -> None:
    watcher.look("task", "axe-2")
    watcher.page.until("return !!document.querySelector('.row-actions button:not(:disabled)')")
    watcher.page.run("document.querySelector('.row-actions button').focus()")
    before = watcher.focused()
    watcher.page.press(Keys.ENTER)
    watcher.sees("Which one?", "dialog")
    watcher.page.until("return document.activeElement.name === 'answer'")
    watcher.page.press(Keys.ESCAPE)
    watcher.sees_no_more("dialog")
    watcher.sees_focus(before)


@pytest.mark.parametrize("width", [360, 768, 1280, 2560])
def test_nothing_sticks_out_sideways(watcher: Watcher, width: int) -> None:
    watcher.look(width=width, height=740)
    for view, subject in VIEWS:
        watcher.go(view, subject)
        assert watcher.page.run("return document.documentElement.scrollWidth") <= width, view


def test_no_number_is_cut_off_on_a_phone(watcher: Watcher) -> None:
    watcher.look("agents", width=360, height=740)
    watcher.sees("axe-agent", ".rows")
    watcher.page.run("document.querySelector('.rows td.col-heard time').textContent = '59 min ago'")
    one_line = "const [word] = document.querySelectorAll('.rows .status'); word.textContent = 'working'; return word"
    assert watcher.page.run(f"{one_line}.getClientRects().length") == 1
    cut_off = """
    return [...document.querySelectorAll('.rows th, .rows td.num')].filter(each => each.offsetWidth).filter(each => {
        const range = document.createRange();
        range.selectNodeContents(each);
        const [inner, outer] = [range.getBoundingClientRect(), each.getBoundingClientRect()];
        return inner.left < outer.left || inner.right > outer.right;
    }).map(each => each.innerText)
    """
    assert watcher.page.run(cut_off) == []


def test_every_view_is_reached_on_a_phone(watcher: Watcher) -> None:
    watcher.look(width=360, height=740)
    names = "return [...document.querySelectorAll('nav.views > a')].map(each => each.innerText)"
    assert watcher.page.run(names) == ["Now", "Agents", "Tasks", "Morning"]
    watcher.click(".views summary", "More")
    watcher.click(".more-list a", "Past")
    watcher.sees("What changed between two moments")
    watcher.sees("Past", ".views summary")
    assert not watcher.page.run("return document.querySelector('.more-views').open")


def test_the_theme_follows_the_system_and_can_be_switched(watcher: Watcher) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    watcher.look(scheme="dark")
    dark = watcher.page.run(background)
    watcher.look(scheme="light")
    assert watcher.page.run(background) != dark
    watcher.page.press("t")
    assert watcher.page.run(background) == dark
    watcher.look(scheme="light")
    assert watcher.page.run(background) == dark, "kept"
    watcher.page.press("t", "t")
