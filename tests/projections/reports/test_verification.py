"""The checker passes every log that the core writes, and names the first position of each kind of damage."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from domain.commands.service_commands import FillTail
from domain.hash_chain import GENESIS_HASH, HASH_HEADER, chain_hash
from domain.recorded import Recorded
from domain.timestamps import format_timestamp
from handlers.ports import StoredMessage, UnreadableEventError
from infra.codec import CloudEventsCodec
from projections.reports.verification import MAX_FINDINGS, LogChecker, Rule
from tests.domain.situations import SITUATIONS
from tests.support.scenario import OPS, Scenario

Messages = list[StoredMessage]


def decoded(message: StoredMessage) -> Recorded | None:
    try:
        return CloudEventsCodec("default").decode(message)
    except UnreadableEventError:
        return None


def checked(messages: Messages) -> LogChecker:
    checker = LogChecker("default")
    for message in messages:
        checker.check(message, decoded(message))
    return checker


def rechained(messages: Messages) -> Messages:
    """The same messages with proper hashes, as a forger who knows the rule would write them."""
    tail, result = GENESIS_HASH, []
    for message in messages:
        tail = chain_hash(tail, message.position, message.subject, message.body)
        result.append(message._replace(headers={**message.headers, HASH_HEADER: tail}))
    return result


@pytest.fixture
def scenario() -> Scenario:
    s = Scenario()
    s.holds("A", "T", "U")
    s.given("B", "register", capacity=5)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["U"])
    token = s.token("T")
    s.at(10).given("A", "progress", task_id="T", token=token, percent=50)
    s.at(20).given("A", "complete", task_id="T", token=token)
    s.sweep(at=5000)
    return s


def position_of(s: Scenario, name: str) -> int:
    return next(recorded.position for recorded in s.log if recorded.name == name)


@pytest.mark.parametrize("how", SITUATIONS)
def test_what_the_core_writes_is_in_order(how: str) -> None:
    s = Scenario()
    SITUATIONS[how][1](s)
    checker = checked(s.messages)
    assert checker.findings == []
    assert checker.ok


def test_the_summary_counts(scenario: Scenario) -> None:
    summary = checked(scenario.messages).summary()
    assert summary["ok"]
    assert summary["events"] == summary["position"] == len(scenario.messages)
    assert summary["hash"] == scenario.tail_hash
    assert (summary["tasks"], summary["agents"], summary["steals"]) == (2, 2, 1)
    assert (summary["grants"], summary["held"]) == (3, 0)
    assert summary["by_event"]["task.leased"] == 2


def test_a_loss_of_the_tail_that_was_accepted_is_in_order_and_named(scenario: Scenario) -> None:
    survived_to = scenario.state.position
    scenario.at(6000).asks(FillTail(acknowledged_to=survived_to + 3, filled_to=survived_to + 1_500), actor="writer")
    scenario.asks(FillTail(acknowledged_to=survived_to + 3, filled_to=survived_to + 1_500), actor="writer")
    checker = checked(scenario.messages)
    assert checker.ok
    assert checker.summary()["tail_losses"] == [
        {
            "at": format_timestamp(scenario.now),
            "survived_to": survived_to,
            "acknowledged_to": survived_to + 3,
            "filled_to": survived_to + 1_500,
        }
    ]


def test_an_altered_body_breaks_the_chain_at_its_position_only(scenario: Scenario) -> None:
    messages = list(scenario.messages)
    at = position_of(scenario, "progressed")
    message = messages[at - 1]
    messages[at - 1] = message._replace(body=message.body.replace(b'"percent":50', b'"percent":90'))
    findings = checked(messages).findings
    assert [(finding.position, finding.rule) for finding in findings] == [(at, Rule.HASH)]


def test_an_altered_hash_is_named(scenario: Scenario) -> None:
    messages = list(scenario.messages)
    messages[2] = messages[2]._replace(headers={HASH_HEADER: "0" * 64})
    assert [(finding.position, finding.rule) for finding in checked(messages).findings] == [
        (3, Rule.HASH),
        (4, Rule.HASH),
    ]


def test_a_missing_hash_is_named(scenario: Scenario) -> None:
    messages = [scenario.messages[0]._replace(headers={})]
    assert [str(finding) for finding in checked(messages).findings] == [
        "position 1: hash: custody.default.evt.agent.A.registered carries no Custody-Hash"
    ]


def test_a_gap_is_named_where_it_begins(scenario: Scenario) -> None:
    messages = scenario.messages[:2] + scenario.messages[4:]
    findings = checked(messages).findings
    assert str(findings[0]) == "position 3: position: positions 3 to 4 are missing"
    assert Rule.HASH not in {finding.rule for finding in findings}


def test_a_missing_end_is_named(scenario: Scenario) -> None:
    last = len(scenario.messages)
    checker = checked(scenario.messages[:-1])
    checker.end(last)
    assert [str(finding) for finding in checker.findings] == [f"position {last}: position: position {last} is missing"]


def test_two_messages_out_of_order_are_named(scenario: Scenario) -> None:
    messages = [*scenario.messages[:2], scenario.messages[3], scenario.messages[2], *scenario.messages[4:]]
    findings = checked(messages).findings
    assert (findings[0].position, findings[0].rule) == (3, Rule.POSITION)


def test_a_log_whose_beginning_is_gone_is_named(scenario: Scenario) -> None:
    first = checked(scenario.messages[3:]).findings[0]
    assert str(first) == "position 1: position: positions 1 to 3 are missing"


def test_a_log_that_was_made_to_begin_late_is_in_order() -> None:
    s = Scenario()
    for state in (s.state, s.shadow):
        state.skip(100)
    s.append_rules.position = 100
    s.holds("A", "T")
    checker = checked(s.messages)
    assert checker.findings == []
    assert (checker.summary()["first"], s.token("T")) == (101, 103)


def test_what_cannot_be_read_is_named_and_counted(scenario: Scenario) -> None:
    messages = rechained([*scenario.messages[:-1], scenario.messages[-1]._replace(body=b"garbage")])
    checker = checked(messages)
    assert [(finding.position, finding.rule) for finding in checker.findings] == [(len(messages), Rule.READABLE)]
    assert checker.summary()["unreadable_events"] == 1


def altered(s: Scenario, name: str, change: Callable[[Recorded], Recorded]) -> LogChecker:
    """The log with one event changed, properly chained, checked."""
    codec, records = CloudEventsCodec("default"), list(s.log)
    at = position_of(s, name)
    records[at - 1] = change(records[at - 1])
    messages, _ = codec.encode(records, GENESIS_HASH)
    checker = LogChecker("default")
    for recorded, message in zip(records, messages, strict=True):
        checker.check(StoredMessage(recorded.position, message.subject, message.body, message.headers), recorded)
    return checker


def test_time_that_goes_backwards_is_named(scenario: Scenario) -> None:
    at = position_of(scenario, "progressed")
    checker = altered(scenario, "progressed", lambda each: replace(each, time=scenario.log[0].time.replace(hour=1)))
    assert [(finding.position, finding.rule) for finding in checker.findings] == [(at, Rule.TIME)]


def test_an_event_that_does_not_link_is_named(scenario: Scenario) -> None:
    checker = altered(scenario, "progressed", lambda each: replace(each, version=99))
    first = checker.findings[0]
    assert (first.position, first.rule) == (position_of(scenario, "progressed"), Rule.FOLD)
    assert "claims 99" in first.message


def test_a_token_that_is_not_its_position_is_named(scenario: Scenario) -> None:
    def forge(each: Recorded) -> Recorded:
        return replace(each, event=each.event.model_copy(update={"token": 999}))

    first = altered(scenario, "leased", forge).findings[0]
    assert (first.position, first.rule) == (position_of(scenario, "leased"), Rule.FOLD)


def test_what_another_agent_said_about_a_held_task_is_named(scenario: Scenario) -> None:
    first = altered(scenario, "progressed", lambda each: replace(each, actor="agent/B")).findings[0]
    assert (first.position, first.rule) == (position_of(scenario, "progressed"), Rule.HOLDER)
    assert first.message == "task/T: progressed by agent/B, and A holds it"


def test_what_has_ended_is_checked_and_next_to_nothing_of_it_remembered() -> None:
    s = Scenario()
    for number in range(30):
        token = s.holds("A", f"T{number}")
        s.given("A", "complete", task_id=f"T{number}", token=token)
    checker = checked(s.messages)
    assert (checker.findings, checker.summary()["tasks"]) == ([], 30)
    remembered = checker._tasks, checker._ended, checker._interned  # noqa: SLF001 - memory shows nowhere else
    assert [len(each) for each in remembered] == [0, 30, 1]
    completed = next(each for each in s.log if each.name == "completed")
    for version, why in ((4, "names token 3"), (completed.version, "is at version 3")):
        again = replace(completed, position=len(s.log) + 1, version=version)
        subject, body, _ = CloudEventsCodec("default").encode([again], None)[0][0]
        damaged = rechained([*s.messages, StoredMessage(again.position, subject, body)])
        (found,) = checked(damaged).findings
        assert (found.rule, found.position) == (Rule.FOLD, again.position)
        assert why in found.message, found.message


def test_damage_without_end_is_counted_and_kept_within_limits(scenario: Scenario) -> None:
    checker = LogChecker("default")
    for position in range(1, MAX_FINDINGS + 101):
        checker.check(scenario.messages[0]._replace(position=position), None)
    assert len(checker.findings) == MAX_FINDINGS
    assert checker.findings_total > MAX_FINDINGS
    assert not checker.ok
