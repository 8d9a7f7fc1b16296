"""The service as a process: one pool, requests over NATS, from start to exit."""
