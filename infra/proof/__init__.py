"""Signed checkpoints: evidence that a log was not rewritten."""
