"""A pool's log as a file, and that file read as a log."""
