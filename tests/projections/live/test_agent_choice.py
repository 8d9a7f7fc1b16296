"""Which agents are listed, and in which order."""

from typing import Any

import pytest

from projections.live.agent_choice import AgentFilter, chosen_agents


def row(agent_id: str, tone: str = "ok", held: int = 0, **more: Any) -> dict[str, Any]:
    """An agent's row, as far as it is chosen by it."""
    return {
        "agent_id": agent_id,
        "tone": tone,
        "held": held,
        "percent": None,
        "heard_at": None,
        "load": {"cpu": None},
        "capabilities": [],
        "labels": [],
        "holds": [],
        **more,
    }


ROWS = [
    row("d", held=1, percent=10, heard_at="2026-11-21T08:00:02Z", load={"cpu": 5.0}),
    row("b", "lost", capabilities=["rust"]),
    row("a", labels=["night"]),
    row("c", "stalled", 2, percent=90, heard_at="2026-11-21T08:00:01Z", load={"cpu": 90.0},
        holds=[{"task_id": "T7", "title": "Fix the Parser"}]),
    row("e", "silent", 1, percent=50, heard_at="2026-11-21T07:00:00Z"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (AgentFilter(), "bceda"),
        (AgentFilter(sort="agent_id"), "abcde"),
        (AgentFilter(sort="agent_id", desc=True), "edcba"),
        (AgentFilter(sort="held", desc=True), "cdeab"),
        (AgentFilter(sort="percent"), "decab"),
        (AgentFilter(sort="percent", desc=True), "cedab"),
        (AgentFilter(sort="heard_at"), "ecdab"),
        (AgentFilter(sort="load", desc=True), "cdabe"),
        (AgentFilter(q="parser t7"), "c"),
        (AgentFilter(q="NIGHT"), "a"),
        (AgentFilter(q="rust"), "b"),
        (AgentFilter(q="rust night"), ""),
    ],
)
def test_agents_are_chosen_and_sorted(wanted: AgentFilter, names: str) -> None:
    assert "".join(each["agent_id"] for each in chosen_agents(ROWS, wanted)) == names
