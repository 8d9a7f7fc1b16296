"""Replaying recorded behaviour under other settings. What that can show and what not: decision record 0035."""
