"""The embedded nats-server: its binary, process, data directory and users."""
