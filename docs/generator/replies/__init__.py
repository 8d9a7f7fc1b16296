"""What the service answers: a model of each result and of each error's details, and which verb answers what."""
