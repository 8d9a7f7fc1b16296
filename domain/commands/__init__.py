"""What may be asked of a pool: by agents, by operators and services, and by the service itself."""
