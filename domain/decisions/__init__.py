"""What every command comes to: `dispatch.decide(view, request, now, rules) -> Decision`, by verb."""
