"""The signals by which a process is asked to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal


def stop_signal(*, hang_up: bool = False) -> asyncio.Event:
    """Return an event that SIGINT or SIGTERM sets from now on, in place of their handlers until now.

    `hang_up`: SIGHUP sets it too, which comes when the terminal is closed.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    names = ("SIGINT", "SIGTERM", "SIGHUP") if hang_up else ("SIGINT", "SIGTERM")
    for name in names:
        each = getattr(signal, name, None)
        if each is None:  # Windows has no SIGHUP
            continue
        try:
            loop.add_signal_handler(each, stop.set)
        except NotImplementedError:  # Windows has no such handlers for the loop
            with contextlib.suppress(ValueError):
                signal.signal(each, lambda *_: loop.call_soon_threadsafe(stop.set))
        except (RuntimeError, ValueError):  # not the main thread, the only one that receives signals
            break
    return stop
