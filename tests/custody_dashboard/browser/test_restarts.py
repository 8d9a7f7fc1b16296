"""What is not live never looks live, and it comes back by itself."""

from __future__ import annotations

import pytest

from tests.custody_dashboard.browser.watcher import Watcher
from tests.support.dashboard import DashboardProcess, Stage

pytestmark = pytest.mark.system

TIME_AFTER_BEATS = """
const done = arguments[arguments.length - 1];
Promise.all([import('#/clock.js'), import('#/stream.js')]).then(([{serverNow}, {beat}]) => {
  const before = serverNow();
  let beats = 0;
  beat.subscribe(() => { beats += 1; if (beats === 4) setTimeout(() => done([before, serverNow()])); });
});
"""
"""What time the page shows, and what time after three more beats."""


def _loses_and_regains(watcher: Watcher) -> None:
    watcher.may_fail = True
    watcher.page.run("window.kept = 1")


def test_without_its_server_the_page_says_so_and_comes_back(
    watcher: Watcher, stage: Stage, dashboard: DashboardProcess
) -> None:
    watcher.look()
    _loses_and_regains(watcher)
    dashboard.kill()
    watcher.sees("Not live", ".badge")
    watcher.sees("no word from the dashboard", "#not-live")
    assert watcher.page.run("return getComputedStyle(document.querySelector('main')).filter") == "grayscale(1)"
    stage.ask("ops.submit", task_id="meanwhile-1")
    dashboard.start()
    watcher.sees("Live", ".badge", patience_s=20)
    watcher.sees_no_more("#not-live")
    watcher.sees("meanwhile-1", ".recent")
    assert watcher.page.run("return window.kept") == 1, "it was not loaded again"


def test_a_page_that_outlives_its_server_may_act_again(
    watcher: Watcher, stage: Stage, dashboard: DashboardProcess
) -> None:
    stage.ask("ops.submit", task_id="outlived-1")
    watcher.look("task", "outlived-1")
    _loses_and_regains(watcher)
    dashboard.kill()
    watcher.sees("Not live", ".badge")
    dashboard.start()
    watcher.sees("Live", ".badge", patience_s=20)
    watcher.click(".row-actions button", "Cancel")
    watcher.type("dialog input[name=reason]", "no longer wanted")
    watcher.click("dialog button[type=submit]")
    watcher.sees_no_more("dialog")
    assert stage.ask("query.task", task_id="outlived-1")["status"] == "cancelled"
    assert watcher.page.run("return window.kept") == 1, "it was not loaded again"


def test_without_its_service_the_pool_is_not_served_and_acting_works_after_its_restart(
    watcher: Watcher, stage: Stage
) -> None:
    watcher.look()
    _loses_and_regains(watcher)
    stage.stop_service()
    watcher.sees("not answering", ".strip", patience_s=20)
    stage.start_service()
    watcher.page.until("return !document.querySelector('.strip').innerText.includes('not answering')", patience_s=20)
    stage.ask("ops.submit", task_id="after-1")
    watcher.sees("after-1", ".recent")


def test_without_its_broker_it_is_not_live_and_comes_back(watcher: Watcher, stage: Stage) -> None:
    watcher.look()
    _loses_and_regains(watcher)
    stage.stop_service()
    stage.stop_broker()
    watcher.sees("Not live", ".badge", patience_s=20)
    before, after = watcher.page.chrome.execute_async_script(TIME_AFTER_BEATS)
    assert after == before, "the time of what is shown stands still, whatever the beats say"
    stage.start_broker()
    stage.start_service()
    watcher.sees("Live", ".badge", patience_s=30)
    stage.ask("ops.submit", task_id="after-2")
    watcher.sees("after-2", ".recent", patience_s=20)


@pytest.mark.parametrize(
    ("view", "subject", "address"),
    [("task", "unread-1", "*/api/task?*"), ("agent", "unread", "*/api/agent?*"), ("tasks", None, "*/api/tasks?*")],
)
def test_what_cannot_be_read_again_says_of_when_it_is(
    watcher: Watcher, stage: Stage, view: str, subject: str | None, address: str
) -> None:
    stage.ask("agent.unread.register", capacity=9)
    changing = f"unread-{view}"
    for task_id in ("unread-1", changing):
        stage.ask("ops.submit", task_id=task_id, title="Read once")
    watcher.look(view, subject, query="" if subject else "?q=unread")
    watcher.sees("unread", "main")
    assert not watcher.text(".stale-note")
    chrome = watcher.page.chrome
    watcher.may_fail = True
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [address]})
    try:
        stage.give(changing, "unread")
        watcher.sees("it could not be read again", ".stale-note")
        assert watcher.text(".stale-note").startswith("As of ")
        watcher.sees("unread")
    finally:
        chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    watcher.sees_no_more(".stale-note")
