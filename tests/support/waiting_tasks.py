"""Where the tasks of asyncio wait, for a test that does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

_FRAMES = ("cr_frame", "gi_frame", "ag_frame")
_INNER = ("cr_await", "gi_yieldfrom", "ag_await")


def waiting_tasks() -> str:
    """Return the frames of each task of the running event loop, the innermost last; empty without a loop.

    `Task.get_stack` gives the outermost frame of a task that waits, which seldom tells for what.
    """
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return ""
    return "\n".join(f"{task.get_name()}\n" + "".join(f"  {frame}\n" for frame in _frames(task)) for task in tasks)


def _frames(task: asyncio.Task[Any]) -> Iterator[str]:
    waits: Any = task.get_coro()
    while waits is not None:
        frame = _first(waits, _FRAMES)
        if frame is not None:
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        waits = _first(waits, _INNER)


def _first(thing: object, names: tuple[str, ...]) -> Any:
    return next((found for name in names if (found := getattr(thing, name, None)) is not None), None)
