"""Connections that choose their node together."""

from urllib.parse import urlparse

import pytest
from nats.aio.client import Server

from infra.nats.node_choice import RETRY_S, SUSPECT_S, NodeChoice


class On:
    """A connection that is connected to a node."""

    def __init__(self, node: str | None) -> None:
        self.node = node


def nodes(**failures: int) -> list[Server]:
    return [Server(uri=urlparse(f"nats://{name}:4222"), reconnects=count) for name, count in failures.items()]


def chosen(choice: NodeChoice, **failures: int) -> str | None:
    return choice.select(nodes(**failures), {})[0].uri.hostname


@pytest.mark.parametrize(
    ("used", "suspects", "failures", "expected"),
    [
        ([], [], {"b": 0, "a": 0}, "a"),
        (["b"], [], {"a": 0, "b": 0, "c": 0}, "b"),
        (["b"], ["b"], {"a": 0, "b": 0, "c": 0}, "a"),
        ([], ["a"], {"a": 0, "b": 0}, "b"),
        ([], ["a"], {"a": 0, "b": 9}, "b"),
        ([], ["a"], {"a": 0}, "a"),
        ([], ["a", "b"], {"a": 1, "b": 0}, "b"),
        (["b"], [], {"a": 0, "b": 3}, "a"),
    ],
    ids=[
        "without a reason all choose the same",
        "one that another connection uses comes first",
        "unless it is suspect",
        "a suspect is avoided",
        "even if the other could not be reached lately",
        "but it is better than none",
        "of suspects the one with the fewest failures",
        "what cannot be reached is not tried for ever",
    ],
)
def test_the_node(used: list[str], suspects: list[str], failures: dict[str, int], expected: str) -> None:
    choice = NodeChoice()
    for each in used:
        choice.join(On(f"{each}:4222"))
    for each in suspects:
        choice.suspect(f"{each}:4222")
    assert chosen(choice, **failures) == expected


def test_a_suspect_is_forgiven_after_a_while() -> None:
    now_s = [0.0]
    choice = NodeChoice(lambda: now_s[0])
    choice.suspect("a:4222")
    assert choice.is_suspect("a:4222")
    now_s[0] = SUSPECT_S
    assert not choice.is_suspect("a:4222")


def test_a_node_that_could_not_be_reached_is_not_tried_at_once() -> None:
    assert NodeChoice().select(nodes(a=0), {})[1] == 0
    assert NodeChoice().select(nodes(a=1), {})[1] == RETRY_S
