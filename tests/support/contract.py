"""What the wire contract names, as a client that is written against it would have it."""

LEASE_FIELDS = {
    *("task_id", "token", "attempt", "expires_at", "grace_s", "deadline", "title", "payload", "labels", "handoff"),
}
"""The fields that every lease document has."""
