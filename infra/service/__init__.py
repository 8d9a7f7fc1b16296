"""The service as a process: requests on NATS, one pool, a life from start to exit."""
