"""Queries: what can be asked of a pool, the answers, and entities as JSON documents."""
