"""The pure core: events, commands, lifecycles, entities, policies and decisions.

Nothing here awaits, reads a clock, draws randomness or touches the outside; `now` and new ids are
arguments. A test holds that line.
"""
