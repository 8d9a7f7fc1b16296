"""Copies of a real history that were changed: found, and named by the first position where something is wrong.

A forger may leave the hashes alone, or chain everything anew and write a fitting header; then what the events say of
themselves and of each other gives the copy away.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.commands.service_commands import FillTail
from domain.hash_chain import GENESIS_HASH, HASH_HEADER, chain_hash
from handlers.ports import StoredMessage
from infra.export.export_file import ExportWriter
from projections.reports.time_text import moment
from tests.golden.test_golden import read
from tests.infra.cli.conftest import invoke
from tests.support.checkout import ROOT
from tests.support.scenario import OPS, Scenario

Log = list[StoredMessage]
HISTORY = ROOT / "tests" / "golden" / "v1" / "tasks.jsonl"
AT = 6
"""In the middle of the history: a report on a task that is held."""


def export(log: Log, name: str = "copy.gz") -> None:
    """Write a log to an export whose own digests fit."""
    writer = ExportWriter(Path(name))
    writer.write(log)
    writer.finish(pool="default", exported_at="2026-11-21T08:00:00.000000Z", software="custody")
    writer.close()


def rechained(log: Log) -> Log:
    """The log at positions without a gap, with proper hashes, as a forger who knows the rule would write it."""
    tail, result = GENESIS_HASH, []
    for position, message in enumerate(log, start=1):
        placed = message._replace(position=position)
        tail = chain_hash(tail, placed.position, placed.subject, placed.body)
        result.append(placed._replace(headers={**message.headers, HASH_HEADER: tail}))
    return result


def renumbered(log: Log) -> Log:
    """The same, and each body names its new position."""
    return rechained(
        [
            message._replace(body=re.sub(rb'"id":"[0-9]+"', b'"id":"%d"' % position, message.body, count=1))
            for position, message in enumerate(log, start=1)
        ]
    )


def changed(log: Log) -> None:
    body = log[AT - 1].body
    assert b'"percent":' in body
    log[AT - 1] = log[AT - 1]._replace(body=re.sub(rb'"percent":[0-9]+', b'"percent":99', body))


def ill_changed(log: Log) -> None:
    log[AT - 1] = log[AT - 1]._replace(body=re.sub(rb'"token":[0-9]+', b'"token":1', log[AT - 1].body))


def missing(log: Log) -> None:
    del log[AT - 1]


def swapped(log: Log) -> None:
    """Two neighbours of one task change places, contents and all, at the positions that there were."""
    one, other = log[AT - 1], log[AT]
    log[AT - 1], log[AT] = other._replace(position=AT), one._replace(position=AT + 1)


def inserted(log: Log) -> None:
    log.insert(AT, log[AT - 1])


PLAIN = [
    (changed, AT, "hash"),
    (ill_changed, AT, "hash"),
    (missing, AT, "position"),
    (swapped, AT, "hash"),
    (inserted, AT, "position"),
]
CHAINED = [
    (ill_changed, AT, "fold"),
    (missing, AT, "readable"),
    (swapped, AT, "readable"),
    (inserted, AT + 1, "readable"),
]
NUMBERED = [(missing, AT, "fold"), (swapped, AT, "fold"), (inserted, AT + 1, "fold")]
CASES = [
    pytest.param(change, forge, position, rule, id=f"{change.__name__}, {how}")
    for how, forge, cases in (
        ("the hashes left alone", list, PLAIN),
        ("chained anew", rechained, CHAINED),
        ("numbered and chained anew", renumbered, NUMBERED),
    )
    for change, position, rule in cases
]


@pytest.fixture
def log() -> Log:
    history = read(HISTORY)
    assert history[AT - 1].subject.endswith(".progressed")
    return history


def test_an_untouched_copy_is_in_order(log: Log) -> None:
    export(log)
    assert rechained(log) == log
    assert renumbered(log) == log
    result = invoke("verify", "--file", "copy.gz")
    assert (result.status, result.lines[0], result.err) == (0, "copy.gz: in order", "")


@pytest.mark.parametrize(
    ("acknowledged_to", "said"),
    [
        pytest.param(5, "positions 3 to 5 are lost, and what came after them", id="missing"),
        pytest.param(
            1, "what was acknowledged at position 1, and some before it, is lost", id="replaced by other events"
        ),
    ],
)
def test_a_loss_that_was_accepted_is_named(acknowledged_to: int, said: str) -> None:
    s = Scenario()
    s.given(OPS, "submit_many", tasks=[{"task_id": "T"}, {"task_id": "U"}])
    s.asks(FillTail(acknowledged_to=acknowledged_to, filled_to=acknowledged_to + 2), actor="writer")
    export(s.messages)
    result = invoke("verify", "--file", "copy.gz")
    assert (result.status, result.lines[0]) == (0, "copy.gz: in order")
    assert f"{said}; accepted at {moment(s.now)}, filled up to {acknowledged_to + 2}" in result.lines


@pytest.mark.parametrize(("change", "forge", "position", "rule"), CASES)
def test_a_tampered_copy_is_found_and_the_position_named(
    log: Log, change: Callable[[Log], None], forge: Callable[[Log], Log], position: int, rule: str
) -> None:
    change(log)
    export(forge(log))
    result = invoke("verify", "--file", "copy.gz")
    assert (result.status, result.lines[0]) == (1, "copy.gz: NOT in order")
    assert result.err == f"custody: first wrong position: {position}\n"
    assert f"position {position}: {rule}: " in result.out
    report = invoke("verify", "--file", "copy.gz", "--json").json
    assert (report["ok"], report["first_wrong_position"], report["wrong"][0]["rule"]) == (False, position, rule)
