"""Watching a pool for as long as a program runs: its connection, its copy of the pool, and what people do to it."""
