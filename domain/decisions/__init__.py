"""The decision on each command: `dispatch.decide(view, request, now, rules) -> Decision`."""
