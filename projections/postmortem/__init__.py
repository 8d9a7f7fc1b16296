"""A post-mortem: what happened to some tasks and agents, drawn as lanes, and the causes that can be named."""
