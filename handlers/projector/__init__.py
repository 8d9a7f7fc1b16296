"""Read models kept elsewhere, in step with the log."""
