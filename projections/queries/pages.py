"""Cutting a page to its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic_core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE_BYTES = 768 * 1024
"""The size limit of a page; a page has at least one row."""


def cut_page(name: str, chosen: Sequence[str], limit: int, row: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Return the page of the first `limit` ids, or fewer if their rows are large, with the last one as its cursor.

    There is a next page if something is chosen that is not on this one.
    """
    rows: list[dict[str, Any]] = []
    size = 0
    for each in chosen[:limit]:
        document = row(each)
        size += len(pydantic_core.to_json(document))
        if rows and size > PAGE_BYTES:
            break
        rows.append(document)
    complete = len(rows) == len(chosen)
    return {name: rows, "next": None if complete else chosen[len(rows) - 1]}
