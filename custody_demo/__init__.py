"""`custody demo`: simulated agents that fail in many ways, on a real broker, and a check of the log they leave."""

DEFAULT_AGENTS = 20
DEFAULT_TASKS = 300
DEFAULT_SECONDS = 40.0
DEFAULT_SEED = 7

MIN_AGENTS, MAX_AGENTS = 8, 200
MIN_TASKS, MAX_TASKS = 50, 5_000
MIN_SECONDS, MAX_SECONDS = 6.0, 600.0
"""Below the minimum sizes some of the incidents that the demo shows cannot happen."""
