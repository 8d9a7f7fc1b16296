"""What a service remembers of its pool, folded from the log: state and views, outcomes, snapshots, look-ups."""
