"""A pool whose endpoints are told, with the queue in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notified_pool import NotifiedPool


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[NotifiedPool]:
    """The pool, with one agent."""
    pool = NotifiedPool(tmp_path / "state.db")
    pool.given("a1", "register")
    yield pool
    pool.file.close()
