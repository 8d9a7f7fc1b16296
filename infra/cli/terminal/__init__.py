"""Output to people: tables, progress, lag, replies and events as text."""
