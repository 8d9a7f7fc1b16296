"""`custody demo`: simulated agents and their mishaps on a real broker, and a check of the log that they leave."""

DEFAULT_AGENTS = 20
DEFAULT_TASKS = 300
DEFAULT_SECONDS = 40.0
DEFAULT_SEED = 7
