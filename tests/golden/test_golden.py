"""Histories of every released version are read by this one, and come to what they came to then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from domain.events import EVENT_TYPES
from domain.hash_chain import GENESIS_HASH, chain_hash
from domain.rules import Rules
from handlers.ports import StoredMessage
from infra.codec import CloudEventsCodec
from projections.state.pool_state import PoolState
from tests.golden.snapshot import snapshot
from tests.support.invariants import check_indexes

HISTORIES = sorted(Path(__file__).parent.glob("v*/*.jsonl"))


def read(path: Path) -> list[StoredMessage]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [StoredMessage(line["position"], line["subject"], line["body"].encode(), line["headers"]) for line in lines]


def differences(then: Any, now: Any, where: str = "") -> list[str]:
    """Name what is not as it was; what was added since is no difference."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            difference
            for key, value in then.items()
            for difference in (
                differences(value, now[key], f"{where}.{key}") if key in now else [f"{where}.{key} is gone"]
            )
        ]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [
            difference
            for number, (one, other) in enumerate(zip(then, now, strict=True))
            for difference in differences(one, other, f"{where}[{number}]")
        ]
    return [] if then == now and type(then) is type(now) else [f"{where} was {then!r} and is {now!r}"]


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_golden_history_comes_to_what_it_came_to(path: Path) -> None:
    codec, state, previous = CloudEventsCodec("default"), PoolState("default", Rules()), GENESIS_HASH
    for message in read(path):
        previous = chain_hash(previous, message.position, message.subject, message.body)
        assert codec.hash_of(message) == previous
        state.fold(codec.decode(message))

    then = json.loads(path.with_suffix(".entities.json").read_text(encoding="utf-8"))
    now = snapshot(state)
    assert differences(then, now) == []
    assert then["entities"].keys() == now["entities"].keys()
    check_indexes(state, state.last_time)


UNRELEASED = {
    "custody.agent.load_reported.v1",
    "custody.pool.tail_lost.v1",
    "custody.task.stalled.v1",
}
"""Events since the last release: a history with them is written when they are released."""


def test_the_histories_hold_every_event_of_every_version() -> None:
    codec = CloudEventsCodec("default")
    seen = {codec.decode(message).event.type_name for path in HISTORIES for message in read(path)}
    assert seen | UNRELEASED == set(EVENT_TYPES)


def test_an_addition_is_no_difference_and_a_loss_is() -> None:
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "new": 3}], "c": 4}) == []
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {}]}) == [".a[1].b is gone"]
    assert differences({"a": 1}, {"a": 2}) == [".a was 1 and is 2"]
    assert differences([1], [1, 2]) == [" was [1] and is [1, 2]"]
