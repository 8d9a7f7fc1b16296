"""What touches the outside: NATS, the broker, files, databases, settings, the service's process, the command line."""
