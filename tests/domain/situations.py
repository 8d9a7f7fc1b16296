"""Every way in which a task can stand before a command. Each builder leaves task `T` and agents `A` and `B` behind.

A builder returns the token that `A` holds, or held last; 1, which no lease ever had, if it never held the task.
"""

from __future__ import annotations

from collections.abc import Callable

from domain.commands.service_commands import Judge
from tests.support.scenario import OPS, Scenario

NEVER = 1
LONG_AGO_S = 5000.0
"""Later than any lease of these tasks lasts."""

Builder = Callable[[Scenario], int]


def fresh(**definition: object) -> Builder:
    """Queued, never held."""

    def build(s: Scenario) -> int:
        s.given(OPS, "submit", task_id="T", **definition)
        s.given("A", "register", capacity=5)
        s.given("B", "register", capacity=5)
        return NEVER

    return build


def assigned(**definition: object) -> Builder:
    def build(s: Scenario) -> int:
        fresh(**definition)(s)
        s.given(OPS, "assign", task_id="T", agent_id="A").then("leased")
        return s.token("T")

    return build


def then(verb: str, after: Builder, **body: object) -> Builder:
    """Let the holder say something."""

    def build(s: Scenario) -> int:
        token = after(s)
        s.given("A", verb, task_id="T", token=token, **body)
        return token

    return build


def ops(verb: str, after: Builder, **body: object) -> Builder:
    def build(s: Scenario) -> int:
        token = after(s)
        s.given(OPS, verb, task_id="T", **body)
        return token

    return build


def silent(after: Builder) -> Builder:
    """Let the holder fall silent until it is judged."""

    def build(s: Scenario) -> int:
        token = after(s)
        s.at(LONG_AGO_S)
        assert s.asks(Judge(("T",))).names
        return token

    return build


def rested(after: Builder) -> Builder:
    """Let the delay of a failed task pass."""

    def build(s: Scenario) -> int:
        token = after(s)
        s.wait(2)
        return token

    return build


def stolen(after: Builder) -> Builder:
    def build(s: Scenario) -> int:
        token = after(s)
        s.given(OPS, "steal", from_="A", to="B", task_ids=["T"]).then("planned", "executing", "stolen", "completed")
        return token

    return build


SITUATIONS: dict[str, tuple[str, Builder]] = {
    "queued": ("queued", fresh()),
    "queued after an expiry": ("queued", silent(assigned())),
    "queued after a release": ("queued", then("release", assigned())),
    "queued after a revocation": ("queued", ops("revoke", assigned())),
    "queued after a failure": ("queued", rested(then("fail", assigned(), error="no"))),
    "assigned": ("assigned", assigned()),
    "assigned, stolen for B": ("assigned", stolen(assigned())),
    "in progress": ("in_progress", then("start", assigned())),
    "stuck": ("stuck", silent(assigned(on_silence="stuck"))),
    "blocked": ("blocked", then("block", assigned(), reason="no key")),
    "quarantined after an expiry": ("quarantined", silent(assigned(budgets={"expiries": 1}))),
    "quarantined after a release": ("quarantined", then("release", assigned(budgets={"releases": 1}))),
    "completed": ("completed", then("complete", assigned(), result=42)),
    "failed by its holder": ("failed", then("fail", assigned(), error="no", retryable=False)),
    "failed over its deadline": ("failed", silent(assigned(deadline_s=60.0))),
    "cancelled while held": ("cancelled", ops("cancel", assigned())),
    "cancelled while queued": ("cancelled", ops("cancel", fresh())),
}
"""How the task stands -> its status, and how it comes about."""
