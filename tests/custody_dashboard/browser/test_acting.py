"""Acting from the page: it asks first, takes a reason, says what was done, and the record has the person's name."""

from __future__ import annotations

import pytest

from tests.custody_dashboard.browser.watcher import Watcher
from tests.support.dashboard import Stage

pytestmark = pytest.mark.system


def _quarantined(stage: Stage, task_id: str) -> None:
    agent = f"fails-{task_id}"
    stage.ask(f"agent.{agent}.register", capacity=1)
    stage.ask("ops.submit", task_id=task_id, title="Fails", budgets={"releases": 1})
    token = stage.give(task_id, agent)
    stage.ask(f"agent.{agent}.release", task_id=task_id, token=token, reason="no such file")


def test_a_requeue_with_a_reason(watcher: Watcher, stage: Stage) -> None:
    _quarantined(stage, "Q1")
    watcher.look()
    watcher.open_needs()
    watcher.sees("Q1", ".needs")
    watcher.click(".needs button", "Requeue Q1")
    watcher.sees("Return this task to the queue?", "dialog")
    watcher.type("dialog input[name=reason]", "the disk is mounted again")
    watcher.click("dialog button[type=submit]")
    watcher.sees("Q1 is in the queue again", ".told")
    watcher.sees_no_more("dialog")
    task = stage.ask("query.task", task_id="Q1")
    assert task["status"] == "queued"
    watcher.look("task", "Q1")
    watcher.sees("ops/Ada")
    watcher.sees("the disk is mounted again")


def test_an_answer_to_a_question(watcher: Watcher, stage: Stage) -> None:
    stage.ask("ops.submit", task_id="A1")
    stage.ask("ops.block", task_id="A1", reason="asks", question="March or April?")
    watcher.look("task", "A1")
    watcher.click(".row-actions button", "Answer")
    watcher.sees("March or April?", "dialog blockquote")
    watcher.type("dialog textarea", "April, it is the corrected one")
    watcher.type("dialog input[name=reason]", "asked the owner")
    watcher.click("dialog button[type=submit]")
    watcher.sees("queue again", ".told")
    watcher.sees("April, it is the corrected one")
    watcher.sees("It asked", "#question")
    assert watcher.page.run("return !!document.querySelector('.needs.calm')"), "what is answered needs nobody"


def test_leaving_a_dialog_does_nothing(watcher: Watcher, stage: Stage) -> None:
    stage.ask("ops.submit", task_id="L1")
    watcher.look("task", "L1")
    watcher.click(".row-actions button", "Cancel task")
    watcher.click("dialog .dialog-foot button", "Leave it")
    watcher.sees_no_more("dialog")
    assert stage.ask("query.task", task_id="L1")["status"] == "queued"


def test_what_is_refused_is_said_in_the_dialog(watcher: Watcher, stage: Stage) -> None:
    stage.ask("ops.submit", task_id="R1")
    watcher.look("task", "R1")
    watcher.click(".row-actions button", "Cancel task")
    stage.ask("ops.cancel", task_id="R1")
    watcher.type("dialog input[name=reason]", "twice")
    watcher.may_fail = True
    watcher.click("dialog button[type=submit]")
    watcher.page.until("return !!document.querySelector('dialog .refused, .told')?.innerText")
