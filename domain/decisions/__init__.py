"""What every command comes to: `decide(view, request, now, rules) -> Decision`, by verb."""

from domain.decisions.dispatch import decide

__all__ = ["decide"]
