"""A pool's log as tables and as live documents, for stores elsewhere."""
