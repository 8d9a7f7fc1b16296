"""The pool's single writer: a queue of commands, batches, appends and their outcomes, replies, waiting claims."""
