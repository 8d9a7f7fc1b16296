"""What the tools answer. These are the tools' output schemas, which are in every listing: few fields, few words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


def _without_titles(schema: dict[str, Any]) -> None:
    """Leave out the titles, which say the fields' names again."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


class Answer(BaseModel):
    """An answer of a tool."""

    model_config = ConfigDict(json_schema_extra=_without_titles)


class Work(Answer):
    """A task that the agent holds; `briefing` says what to do."""

    # The class's docstrings are its descriptions in the listing.
    task_id: str
    briefing: str
    payload: Any
    checkpoint: Any
    progress: int
    attempt: int
    deadline: str | None


class Claimed(Answer):
    """`work` is null if there is none now."""

    work: Work | None
    note: str


class MyWork(Answer):
    """All that the agent holds."""

    work: list[Work]
    notes: list[str]


class Reported(Answer):
    """`hand_over`: stop soon and call hand_over."""

    task_id: str
    hand_over: bool
    note: str


class Ended(Answer):
    """The agent holds the task no more."""

    task_id: str
    status: str
    note: str


class Submitted(Answer):
    """`was`: new, or known from before."""

    task_id: str
    was: str


class Found(Answer):
    """`next`: the `after` of the next page, or null."""

    about: str
    rows: list[dict[str, Any]]
    next: str | None


class Explained(Answer):
    """In sentences. `question`: what a blocked task waits for."""

    about: str
    status: str
    headline: str
    question: str | None
    why: list[str]
    next: list[dict[str, Any]]
    budgets: list[str]
    candidates: list[dict[str, Any]]


class Acted(Answer):
    """What was done."""

    result: dict[str, Any]
    note: str
