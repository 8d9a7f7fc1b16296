"""The documentation, and what generates the part of it that repeats the code."""
