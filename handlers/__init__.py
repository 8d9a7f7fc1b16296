"""Services and process managers: asynchronous; they reach the outside through the protocols in `ports` only."""
