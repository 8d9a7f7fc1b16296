"""Many small cases in one test, each with its name in the failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(name: object) -> Iterator[None]:
    """Add the case's name to what fails within."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the case {name}")
        raise
