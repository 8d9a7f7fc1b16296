"""Exports: a pool's log written to a file, and such a file read as a log."""
