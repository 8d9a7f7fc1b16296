"""What someone sees who opens the dashboard, and what changes while they look."""

from __future__ import annotations

import pytest

from tests.custody_dashboard.browser.watcher import Watcher
from tests.support.dashboard import Stage

pytestmark = pytest.mark.system


def test_the_first_view_says_what_needs_a_person_who_works_and_that_it_is_live(watcher: Watcher, stage: Stage) -> None:
    stage.ask("agent.first.register", capacity=2)
    stage.ask("ops.submit", task_id="F1", title="Mend the roof")
    stage.give("F1", "first")
    stage.ask("ops.submit", task_id="F2", title="Ask the owner")
    stage.ask("ops.block", task_id="F2", reason="asks", question="Slate or tiles?")
    watcher.look()
    watcher.sees("Live", ".badge")
    watcher.sees("Slate or tiles?", ".needs")
    watcher.sees("Ask the owner", ".needs")
    watcher.sees("F1", ".recent")
    assert watcher.page.run("return document.querySelector('.lanes canvas').width") > 300
    assert all(each.startswith(watcher.url) for each in watcher.page.requests() if each.startswith("http"))


def test_a_change_arrives_without_a_reload(watcher: Watcher, stage: Stage) -> None:
    watcher.look("tasks", query="?q=arrives")
    watcher.sees("0 tasks", ".filters")
    stage.ask("ops.submit", task_id="arrives-1", title="This one arrives")
    watcher.sees("arrives-1", ".rows")
    watcher.sees("1 task", ".filters")
    watcher.look("agents")
    stage.ask("agent.late-comer.register", capacity=3)
    watcher.sees("late-comer", ".rows")


def test_a_task_page_explains_shows_where_it_is_and_follows_it(watcher: Watcher, stage: Stage) -> None:
    stage.ask("agent.page-worker.register", capacity=1)
    stage.ask("ops.submit", task_id="P1", title="Translate", payload={"pages": 3})
    watcher.look("task", "P1")
    watcher.sees("Why, and what next")
    assert "queued" in watcher.text(".headline")
    assert watcher.text(".machine .here") == "queued"
    token = stage.give("P1", "page-worker")
    held = {"task_id": "P1", "token": token}
    stage.ask("agent.page-worker.progress", **held, percent=40, message="page 2", checkpoint={"page": 2})
    watcher.sees("page 2")
    watcher.sees('"page": 2', ".json")
    assert watcher.text(".machine .here") == "in progress"
    watcher.sees("page-worker", "#attempts ~ *, .plain")


def test_steals_and_statistics_and_morning_have_their_pages(watcher: Watcher, stage: Stage) -> None:
    stage.ask("agent.from-1.register", capacity=3)
    stage.ask("agent.to-1.register", capacity=3)
    for number in range(2):
        stage.ask("ops.submit", task_id=f"S{number}")
        stage.ask("ops.assign", task_id=f"S{number}", agent_id="from-1")
    stage.ask("ops.steal", **{"from": "from-1", "to": "to-1", "count": 1})
    watcher.look("steals")
    watcher.sees("to-1", ".plain")
    watcher.look("statistics")
    watcher.sees("Throughput")
    watcher.page.until("return document.querySelectorAll('.uplot canvas').length > 3")
    watcher.look("morning")
    watcher.sees("submitted", ".report")


def test_any_page_can_be_seen_as_it_was(watcher: Watcher, stage: Stage) -> None:
    stage.ask("ops.submit", task_id="past-1", title="Then")
    watcher.look("task", "past-1")
    watcher.click(".plain td a")
    watcher.sees("Past", ".badge")
    assert "at=" in watcher.page.run("return location.hash")
    watcher.sees("Back to the present")
    watcher.sees("queued", ".headline")
    stage.ask("ops.cancel", task_id="past-1")
    watcher.click("nav a", "Tasks")
    watcher.sees("past-1", ".rows")
    watcher.click(".time-bar button", "Back to the present")
    watcher.sees("Live", ".badge")
    watcher.page.until("return ![...document.querySelectorAll('.rows a')].some(each => each.innerText === 'past-1')")
