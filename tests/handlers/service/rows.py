"""Rows of query answers."""

from typing import Any


def ids(result: dict[str, Any], rows: str, name: str = "task_id") -> list[str]:
    return [row[name] for row in result[rows]]
