"""What else a person does on the page: compare two moments, play, move work, pause; look only; log in and out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.custody_dashboard.browser.watcher import Watcher
from tests.support.browser import Page
from tests.support.dashboard import DashboardProcess, Stage

pytestmark = pytest.mark.system

TOKEN = "wall-token-0123456789-abcdef"
MANY = 203
"""More tasks than the page lists of a difference."""


def _act(watcher: Watcher, reason: str) -> None:
    watcher.type("dialog input[name=reason]", reason)
    watcher.click("dialog button[type=submit]")
    watcher.sees_no_more("dialog")


def test_two_moments_are_compared(watcher: Watcher, stage: Stage) -> None:
    stage.ask("agent.differs.register", capacity=2)
    for number in range(MANY):
        stage.ask("ops.submit", task_id=f"zz-{number:03}")
    stage.give("zz-000", "differs")
    watcher.look("past")
    watcher.click("#diff ~ * button, .filters button", "Compare")
    watcher.sees("Tasks", "h3")
    watcher.sees("queued", ".plain")
    watcher.page.until("return /and \\d+ more/.test(document.querySelector('main').innerText)")
    watcher.sees("differs", ".plain")
    counts = "return [...document.querySelectorAll('.plain.narrow td')].map(each => each.innerText)"
    assert "tasks: queued" in watcher.page.run(counts)


def test_a_moment_that_is_no_time_is_not_compared(watcher: Watcher) -> None:
    watcher.look("past")
    field = "document.querySelector('.moment-field')"
    watcher.page.run(f"{field}.value = ''")
    watcher.type(".moment-field", "tomorrow")
    watcher.click(".filters button", "Compare")
    assert watcher.page.run(f"return {field}.validationMessage") == "Write it as 2026-11-29 03:12:44"


def test_the_past_is_played(watcher: Watcher, stage: Stage) -> None:
    stage.ask("ops.submit", task_id="played-1")
    watcher.look("past")
    watcher.click(".time-tools button", "−1 min")
    watcher.sees("Past", ".badge")
    watcher.page.until("return !document.querySelector('.time-bar.busy')")
    before = watcher.page.run("return location.hash")
    watcher.click(".time-tools button", "Play")
    watcher.page.until("return location.hash !== arguments[0]", before)
    watcher.page.until("return !document.querySelector('.time-bar.busy')")
    # The log may be younger than the minute that it was put back by: then it has played to the present.
    watcher.page.until("return /at=/.test(location.hash) || !!document.querySelector('.badge-live')")
    watcher.look("now")


def test_an_overloaded_agent_is_called_that(watcher: Watcher, stage: Stage) -> None:
    stage.ask("agent.hot.register", capacity=3)
    stage.ask("agent.hot.heartbeat", load={"cpu": 95.0, "memory": 10.0})
    watcher.look("agents")
    watcher.sees("overloaded", ".status")


def test_a_steal_is_an_arrow_between_two_lanes(watcher: Watcher, stage: Stage) -> None:
    for agent in ("arrow-1", "arrow-2"):
        stage.ask(f"agent.{agent}.register", capacity=3)
    stage.ask("ops.submit", task_id="arrow-task")
    stage.give("arrow-task", "arrow-1")
    watcher.look(height=2600)
    watcher.page.until("return Number(document.querySelector('.lanes canvas').dataset.bars) > 0")
    arrows = int(watcher.page.run("return document.querySelector('.lanes canvas').dataset.arrows"))
    stage.ask("ops.steal", **{"from": "arrow-1", "to": "arrow-2", "count": 1})
    watcher.page.until("return Number(document.querySelector('.lanes canvas').dataset.arrows) > arguments[0]", arrows)


def test_work_is_moved_an_agent_drained_and_the_pool_paused(watcher: Watcher, stage: Stage) -> None:
    for agent in ("mover", "taker"):
        stage.ask(f"agent.{agent}.register", capacity=3)
    for number in (1, 2):
        stage.ask("ops.submit", task_id=f"moves-{number}")
        stage.give(f"moves-{number}", "mover")
    watcher.look("agent", "mover")
    watcher.click(".headline button", "Move mover")
    watcher.type("dialog input[name=to]", "taker")
    _act(watcher, "the other one is idle")
    watcher.sees("tasks moved from mover to taker", ".told")
    assert stage.ask("query.task", task_id="moves-2")["agent_id"] == "taker"
    watcher.look("task", "moves-1")
    watcher.click(".row-actions button", "Move moves-1")
    watcher.type("dialog input[name=to]", "taker")
    _act(watcher, "this one, too")
    watcher.sees("taker", "#lease ~ *, .facts")
    assert stage.ask("query.task", task_id="moves-1")["agent_id"] == "taker"
    watcher.look("agent", "mover")
    watcher.click(".headline button", "Drain mover")
    _act(watcher, "an update")
    watcher.page.until("return !!document.querySelector('.headline button[aria-label=\"Resume mover\"]')")
    # Nothing is moved from an agent that holds nothing; that it does is told a moment later.
    names = "[...document.querySelectorAll('.headline button')].map(each => each.innerText.trim())"
    watcher.page.until(f"return {names}.join() === 'Resume'")
    watcher.look()
    try:
        watcher.click(".strip button", "Pause the pool")
        _act(watcher, "a look at the disk")
        watcher.sees("paused", ".strip")
        watcher.click(".strip button", "Resume the pool")
        _act(watcher, "it is well")
        watcher.page.until("return !!document.querySelector('.strip button[aria-label=\"Pause the pool\"]')")
    finally:
        stage.ask("ops.resume")


def test_what_the_service_would_refuse_is_not_offered(watcher: Watcher, stage: Stage) -> None:
    names = "return [...document.querySelectorAll('.row-actions button')].map(each => each.innerText.trim())"
    stage.ask("agent.offers.register", capacity=2)
    stage.ask("ops.submit", task_id="offers-1")
    watcher.look("task", "offers-1")
    watcher.page.until("return !!document.querySelector('.row-actions button:not(:disabled)')")
    assert watcher.page.run(names) == ["Cancel task"]
    token = stage.give("offers-1", "offers")
    watcher.sees("Move…", ".row-actions")
    assert watcher.page.run(names) == ["Revoke", "Move…", "Cancel task"]
    stage.ask("agent.offers.progress", task_id="offers-1", token=token, percent=1)
    watcher.page.until("return !document.querySelector('.row-actions').innerText.includes('Move…')")
    assert watcher.page.run(names) == ["Revoke", "Cancel task"]
    stage.ask("agent.offers.complete", task_id="offers-1", token=token)
    watcher.page.until("return !document.querySelector('.row-actions button')")


def test_of_a_lost_agent_only_what_it_still_holds_can_be_revoked(watcher: Watcher, stage: Stage) -> None:
    stage.ask("agent.keeps.register", capacity=2)
    for task_id in ("kept-1", "again-1"):
        stage.ask("ops.submit", task_id=task_id)
    stage.give("kept-1", "keeps")
    watcher.look()
    watcher.sees("kept-1", ".recent")
    watcher.page.chrome.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "import('#/pool.js').then(({live}) => { window.live = live; done(); })"
    )
    # It takes ten minutes to become lost: the need is put in the page's place for them, beside the real agent's row.
    need = {
        "kind": "lost_agent",
        "key": "lost_agent:keeps",
        "task_id": None,
        "agent_id": "keeps",
        "question": None,
        "title": "keeps is lost",
        "detail": "still holds 1 task",
        "actions": ["revoke"],
        "since": "2026-01-01T00:00Z",
        "task_ids": ["kept-1", "again-1"],
    }
    # What the server tells of the needs takes its place again: it is put there and read until it was there.
    kept, again = watcher.page.until(
        "window.live.needs.value = {items: [arguments[0]], more: 0};"
        "const rows = [...document.querySelectorAll('.needs .held-list li')].map(each => each.innerText.trim());"
        "return rows.length === 2 ? rows : null",
        need,
    )
    assert "Revoke" in kept
    assert "Revoke" not in again
    assert "waits for another agent" in again


@pytest.fixture(scope="module")
def looks_only(watched: tuple[Stage, DashboardProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard of the same pool that needs a token, and does nothing."""
    file: Path = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text(f"wall:operator:{TOKEN}\n")
    file.chmod(0o600)
    dashboard = DashboardProcess(watched[0].broker, "--read-only", "--token-file", str(file))
    try:
        yield dashboard.url
    finally:
        dashboard.kill()


def test_one_logs_in_by_token_looks_only_and_logs_out(shared_page: Page, stage: Stage, looks_only: str) -> None:
    stage.ask("ops.submit", task_id="only-1")
    stage.ask("ops.block", task_id="only-1", reason="asks", question="Who may answer?")
    watcher = Watcher(shared_page, looks_only)
    shared_page.visit(looks_only)
    watcher.log_in("x" * 30)
    watcher.sees("This token is not known here.", ".refused")
    watcher.log_in(TOKEN)
    watcher.sees("wall (looks only)", ".person")
    watcher.sees("Question", ".needs")
    watcher.go("task", "only-1")
    watcher.sees("Who may answer?", "blockquote")
    assert shared_page.run("return document.querySelectorAll('button.act').length") == 0
    watcher.click("#log-out")
    watcher.sees("Token", ".login")
    shared_page.visit(looks_only)
    watcher.sees("Token", ".login")
    shared_page.complaints()
