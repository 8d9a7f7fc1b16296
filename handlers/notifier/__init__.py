"""Telling others of a pool: what each endpoint wants is queued durably, then sent, each endpoint on its own."""
