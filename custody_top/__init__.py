"""`custody top`: a pool in a terminal, as it is now; keys to look closer, and to act.

A product of its own on `infra`: it reads the pool's log (`handlers/follower`), shows what `projections/live` folds, and
sends what a person asks for as any operator's command.
"""
