"""Answers to queries, from a memory and from the log: the same in a service and in a copy that follows the log."""
