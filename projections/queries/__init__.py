"""What may be asked of a pool, and the documents that answer it."""
