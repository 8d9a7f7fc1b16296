"""What is measured: one job a file, run in the process of a contender's callers."""
