"""Metrics for Prometheus: which there are, what they are read from, and the server that shows them."""
