"""Computations on what the domain offers, pure like it: the writer's own state, queries, read models and reports."""
