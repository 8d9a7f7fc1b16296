"""NATS: connections to the broker, the stream of a pool, the event log on that stream."""
