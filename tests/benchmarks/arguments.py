"""Types of a benchmark's arguments: a wrong value is told in one line, with status 2, before anything starts."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Collection
from pathlib import Path


def positive(text: str) -> int:
    """Return a whole number of 1 or more."""
    number = natural(text)
    if number == 0:
        raise ArgumentTypeError("0 is too few: it must be 1 or more")
    return number


def natural(text: str) -> int:
    """Return a whole number of 0 or more."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def positives(text: str) -> list[int]:
    """Return whole numbers of 1 or more, separated by commas."""
    return [positive(part.strip()) for part in text.split(",")]


def duration(text: str) -> float:
    """Return a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return a type: names of these, separated by commas, in any case."""
    spelled = {name.casefold(): name for name in known}

    def names(text: str) -> list[str]:
        given = [part.strip() for part in text.split(",")]
        refuse_unknown([name for name in given if name.casefold() not in spelled], known)
        return [spelled[name.casefold()] for name in given]

    return names


def refuse_unknown(unknown: Collection[str], known: Collection[str], between: str = ", ") -> None:
    """Raise ArgumentTypeError with what is unknown, and what there is, if anything is."""
    if unknown:
        raise ArgumentTypeError(f"unknown: {between.join(unknown)}; there are: {between.join(known)}")


def new_file(text: str) -> Path:
    """Return the path of a file that can be written."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text} is a directory")
    directory = path.absolute().parent
    if not directory.is_dir():
        raise ArgumentTypeError(f"there is no directory {directory}")
    if not os.access(path if path.exists() else directory, os.W_OK):
        raise ArgumentTypeError(f"{text} may not be written")
    return path
