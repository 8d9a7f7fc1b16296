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
    watcher.open_needs()
    watcher.sees("Slate or tiles?", ".needs")
    watcher.sees("Ask the owner", ".needs")
    watcher.sees("F1", ".recent")
    watcher.sees("Answer", ".needs .act")
    assert watcher.page.run("return document.querySelector('.lanes canvas').width") > 300
    assert all(each.startswith(watcher.url) for each in watcher.page.requests() if each.startswith("http"))


def test_the_first_view_answers_who_is_silent_what_waits_and_why_and_leads_to_last_night(
    watcher: Watcher, stage: Stage
) -> None:
    stage.ask("agent.mute.register", capacity=1)
    lease = {"mode": "fixed", "lease_s": 1.0, "grace_s": 60.0}
    stage.ask("ops.submit", task_id="mute-1", lease=lease)
    stage.give("mute-1", "mute")
    for number in range(12):
        stage.ask("ops.submit", task_id=f"rare-{number}", required_capabilities=[f"rare-{number}"])
    watcher.look()
    watcher.sees("mute not heard for", ".silent")
    watcher.sees("mute-1", ".silent")
    watcher.sees("no live agent has rare-0", ".waiting")
    watcher.sees("No agent can", ".needs")
    assert watcher.page.run("return document.querySelectorAll('.need-grave').length") < 12, "of a kind, the first few"
    watcher.click(".needs button", "kinds of work that no agent can do")
    watcher.sees("rare-11", ".needs")
    watcher.type(".find input", "rare-3")
    watcher.click(".find button")
    watcher.sees("no live agent has rare-3", ".reason")
    watcher.sees("not granted before another agent", ".next")
    assert "granted at the next claim" not in watcher.text("main")
    watcher.look("now")
    watcher.click(".recent a", "Last night")
    watcher.sees("Morning report", "h1")
    for number in range(12):
        stage.ask("ops.cancel", task_id=f"rare-{number}")


def test_ids_are_in_the_order_of_their_numbers_and_the_head_shows_it(watcher: Watcher, stage: Stage) -> None:
    for number in (10, 2, 1):
        stage.ask("ops.submit", task_id=f"nat-{number}")
    watcher.look("tasks", query="?q=nat-")
    watcher.sees("3 tasks", ".filters")
    watcher.sees_ids("nat-1", "nat-2", "nat-10")
    assert watcher.text(".sort-mark.sorted") == "↑"


def test_what_comes_all_the_time_is_one_line_that_opens(watcher: Watcher, stage: Stage) -> None:
    stage.ask("agent.talks.register", capacity=1)
    stage.ask("ops.submit", task_id="talks-1")
    token = stage.give("talks-1", "talks")
    for percent in (10, 20, 30, 40):
        stage.ask("agent.talks.progress", task_id="talks-1", token=token, percent=percent, message=f"part {percent}")
    watcher.look("task", "talks-1")
    watcher.sees("4 events until", ".run")
    assert "part 20" not in watcher.text("#events ~ *, .scroll-x:last-of-type")
    watcher.click(".run button")
    watcher.sees("part 20", ".plain")


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
    watcher.sees("Status", ".rows")
    watcher.type("#search", "past-1")
    watcher.sees_ids("past-1")
    watcher.sees("1 task", ".filters")
    watcher.click(".time-bar button", "Back to the present")
    watcher.sees("Live", ".badge")
    watcher.page.until("return ![...document.querySelectorAll('.rows a')].some(each => each.innerText === 'past-1')")
