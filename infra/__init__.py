"""The thin shell: NATS, the embedded broker, the clock, settings and the command line."""
