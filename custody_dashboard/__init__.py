"""`custody dashboard`: a page for people who look after a pool, kept from its log and never inside the writer."""

DEFAULT_PORT = 4280
"""Loopback port of the page."""
LOOPBACK = "127.0.0.1"
