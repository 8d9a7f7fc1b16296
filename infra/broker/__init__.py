"""A nats-server of our own: its binary, process, data directory and users."""
