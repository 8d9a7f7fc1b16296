"""Ends the process when its terminal is gone.

SIGHUP says so to who has the terminal for its own; a program that was merely given one is told nothing. The screen's
library then reads the end of the terminal again and again, and blocks where its writer has ended.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

from infra.host.shell import EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_S = 2.0
"""How long the screen may take to end by itself, before the process ends without it."""


def watch_terminal(descriptor: int, on_hang_up: Callable[[], object]) -> None:
    """Call `on_hang_up` from a thread once the terminal is gone, and end the process if it has not ended then."""
    if hasattr(select, "poll"):  # Windows has none, and no hang-up
        threading.Thread(target=_watch, args=(descriptor, on_hang_up), name="terminal", daemon=True).start()


def _watch(descriptor: int, on_hang_up: Callable[[], object]) -> None:
    poll = select.poll()
    # No event is asked for: a hang-up and an error are always told.
    poll.register(descriptor, 0)
    poll.poll()
    # What is still written goes nowhere: at the end of the process, a flush that fails would be its exit status.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)
    on_hang_up()
    time.sleep(GRACE_S)
    # The event loop may be blocked by a write that never ends. Nothing is lost: all state is in the log.
    os._exit(EXIT_OK)
