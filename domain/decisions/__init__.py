"""The decision on each command: `decide(view, request, now, rules) -> Decision`."""

from domain.decisions.dispatch import decide

__all__ = ["decide"]
