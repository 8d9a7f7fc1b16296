"""Rows of the tables: what each event changes, and that any stretches of it come to the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.events.task import OUTSIDE_LIFECYCLE
from domain.rules import Rules
from domain.task import Task
from handlers.memory.memory import Memory
from handlers.ports import StoredMessage
from projections.read_models import tables
from projections.read_models.table_projection import TableProjection
from projections.read_models.table_rows import agent_row, task_row
from projections.reports.holder_check import HolderCheck
from tests.golden.make import HISTORIES
from tests.support.scenario import OPS, Scenario

Rows = dict[str, dict[Any, dict[str, Any]]]


class Kept:
    """The tables as dicts, brought up to date in stretches."""

    def __init__(self, s: Scenario) -> None:
        self._s = s
        self.memory = Memory("default", s.rules, s.codec, outcomes=0)
        self._tabulation = TableProjection(self.memory.state)
        self.rows: Rows = {table.name: {} for table in tables.TABLES}

    def to(self, position: int | None = None) -> Kept:
        """Take in the log up to a position, in one stretch."""
        chunk = self._s.messages[self.memory.state.position : position]
        bodies = {message.position: message.body for message in chunk}

        def skipped(message: StoredMessage, reason: str) -> None:
            self._tabulation.skip(message.position, message.subject, message.body, reason, None)

        self.memory.fold(chunk, lambda recorded: self._tabulation.apply(recorded, bodies[recorded.position]), skipped)
        changes = self._tabulation.take_changes()
        for table, rows in (*changes.replaced.items(), (tables.EVENTS, changes.events)):
            names = [column.name for column in table.columns]
            for row in rows:
                values = dict(zip(names, row, strict=True))
                self.rows[table.name][values[table.key]] = values
        return self

    def restart(self) -> None:
        """Lose everything but the rows and how far they are."""
        position = self.memory.state.position
        self.memory = Memory("default", self._s.rules, self._s.codec, outcomes=0)
        self.memory.fold(self._s.messages[:position])
        self._tabulation = TableProjection(self.memory.state)


def kept(s: Scenario) -> Rows:
    return Kept(s).to().rows


def test_a_lease_tells_how_and_when_it_ended() -> None:
    s = Scenario()
    s.given("a1", "register", capacity=9)
    token = s.holds("a1", "t1")
    s.at(30).given("a1", "progress", task_id="t1", token=token, percent=40, message="half-way")
    lease = kept(s)["leases"][token]
    assert (lease["status"], lease["percent"], lease["note"], lease["ended_at"]) == ("active", 40, "half-way", None)
    s.at(50).given("a1", "release", task_id="t1", token=token, reason="tired")
    lease = kept(s)["leases"][token]
    assert (lease["status"], lease["ended_at"], lease["ended_by"]) == ("released", s.now, "agent/a1")
    assert (lease["end_reason"], lease["held_s"], lease["reports"], lease["percent"]) == ("tired", 50.0, 1, 40)


def test_a_stolen_task_has_two_leases() -> None:
    s = Scenario()
    s.holds("busy", *(f"t{number}" for number in range(9)), capacity=20)
    s.given("idle", "register", capacity=5)
    before = s.token("t8")
    s.at(30).given(OPS, "steal", from_="busy", to="idle", task_ids=["t8"], reason="balance")
    rows = kept(s)
    first, second = rows["leases"][before], rows["leases"][s.token("t8")]
    assert (first["agent_id"], first["status"], first["ended_at"]) == ("busy", "stolen", s.now)
    assert (second["agent_id"], second["status"], second["attempt"]) == ("idle", "active", 2)
    (steal,) = rows["steals"].values()
    assert (steal["status"], steal["moved"], steal["ended_at"], steal["reason"]) == ("completed", 1, s.now, "balance")


def test_a_task_that_ended_keeps_what_it_came_to() -> None:
    s = Scenario()
    token = s.holds("a1", "t1", payload={"n": 1})
    s.at(9).given("a1", "complete", task_id="t1", token=token, result=[1, "ü"])
    task = kept(s)["tasks"]["t1"]
    assert (task["status"], task["agent_id"], task["token"], task["ended_at"]) == ("completed", None, None, s.now)
    assert (task["outcome_agent_id"], json.loads(task["result"]), json.loads(task["payload"])) == (
        "a1",
        [1, "ü"],
        {"n": 1},
    )


def test_a_late_report_on_what_has_ended_changes_no_row() -> None:
    s = Scenario()
    token = s.holds("a1", "t1")
    s.given("ops/ada", "cancel", task_id="t1")
    rows = Kept(s).to()
    before = dict(rows.rows["tasks"]["t1"])
    s.when("a1", "progress", task_id="t1", token=token, percent=7)
    assert rows.to().rows["tasks"]["t1"] == before
    assert rows.rows["events"][s.state.position]["event"] == "late_progress"


def test_every_event_is_a_row_with_its_body() -> None:
    s = Scenario()
    s.holds("a1", "t1")
    rows = kept(s)["events"]
    assert sorted(rows) == [message.position for message in s.messages]
    leased = rows[s.token("t1")]
    assert (leased["type"], leased["entity_id"], leased["agent_id"]) == ("custody.task.leased.v1", "t1", "a1")
    assert leased["body"] == s.messages[s.token("t1") - 1].body.decode()


def test_what_every_fold_skips_is_a_row_that_says_so() -> None:
    s = Scenario()
    s.holds("a1", "t1")
    position = len(s.messages) + 1
    s.messages.append(StoredMessage(position, "custody.default.evt.task.t1.nonsense", b"\xff\x00"))
    row = kept(s)["events"][position]
    assert (row["event"], row["entity_id"], row["type"], row["body"]) == ("unreadable", "t1", None, None)
    assert "cannot be read" in row["skipped"]


def test_no_text_holds_what_databases_refuse() -> None:
    s = Scenario()
    token = s.holds("a1", "t1")
    s.given("a1", "progress", task_id="t1", token=token, percent=1, message="note", checkpoint="note")
    last = s.messages[-1]
    s.messages[-1] = last._replace(body=last.body.replace(b'"note"', b'"no\\u0000te"'))
    rows = kept(s)
    assert rows["leases"][token]["note"] == "no\ufffdte"
    assert "\\u0000" not in rows["events"][last.position]["body"]


@pytest.mark.parametrize("name", HISTORIES)
def test_stretches_and_restarts_change_nothing(name: str) -> None:
    s = Scenario(Rules(branch_template="task/{task_id}/{attempt}"))
    HISTORIES[name](s)
    whole = kept(s)
    for stretch in (1, 2, 7):
        for restarts in (False, True):
            rows = Kept(s)
            for position in range(stretch, len(s.messages) + stretch, stretch):
                rows.to(position)
                if restarts:
                    rows.restart()
            assert rows.rows == whole


@pytest.mark.parametrize("name", HISTORIES)
def test_after_every_event_the_rows_are_those_of_the_fold(name: str) -> None:
    s = Scenario(Rules(branch_template="task/{task_id}/{attempt}"))
    HISTORIES[name](s)
    rows, holders = Kept(s), HolderCheck()
    noted_after_the_end: set[str] = set()
    for recorded in s.log:
        if type(recorded.event) in OUTSIDE_LIFECYCLE and (before := rows.memory.state.task(recorded.entity_id)):
            noted_after_the_end |= {before.task_id} if before.terminal else set()
        assert list(holders.check(recorded)) == []
        rows.to(recorded.position)
        state = rows.memory.state
        tasks = [each for each in (*state.tasks.values(), *state.ended.recent.values()) if isinstance(each, Task)]
        # A note after the end changes only the table of events.
        tasks = [each for each in tasks if each.task_id not in noted_after_the_end]
        assert {each.task_id: tuple(rows.rows["tasks"][each.task_id].values()) for each in tasks} == {
            each.task_id: task_row(each) for each in tasks
        }
        for agent in state.agents.values():
            assert tuple(rows.rows["agents"][agent.agent_id].values()) == agent_row(agent)
        held = [lease for lease in rows.rows["leases"].values() if lease["ended_at"] is None]
        assert {lease["token"] for lease in held} == {
            each.lease.token for each in state.tasks.values() if each.lease is not None
        }
        assert len(held) == holders.count
        assert len(rows.rows["leases"]) == holders.grants
