"""Every limit of the wire contract, in one place; the contract is the source of each number."""

from __future__ import annotations

NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""Pools, agents and steal operations; they become tokens of a subject."""

TASK_ID_PATTERN = r"^[!-~]{1,128}$"
"""Tasks: printable ASCII without blanks, such as `owner/repo#12`; escaped in subjects."""

SESSION_PATTERN = NAME_PATTERN
"""Sessions: what a process calls itself, so that it differs from earlier ones of the same agent."""

MAX_INT64 = 2**63 - 1
"""The largest number that a broker's sequence, and so a token, and a column of a database can have."""
SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1
"""Of any JSON that is recorded: each fits into 64 bits, signed or not."""
MAX_REQUEST_BYTES = 256 * 1024
MAX_REPLY_BYTES = 1024 * 1024
MAX_CLAIM_REPLY_BYTES = 512 * 1024
MAX_JSON_BYTES = 64 * 1024
"""A payload, checkpoint or result, as compact JSON."""
MAX_JSON_DEPTH = 64
MAX_NOTE_DATA_BYTES = 16 * 1024
"""The data of an annotation, as compact JSON."""
MAX_SUBMIT_TASKS = 1000
"""Tasks in one `submit_many`: they are one append."""
MAX_FILTERED_CANCEL = 1000
"""Tasks that one `cancel` by filter ends; each is one event."""
MAX_FILTERED_REQUEUE = 500
"""Tasks that one `requeue` by filter brings back; a stuck one is two events."""
MAX_AGENTS_FORGOTTEN = 500
"""Agents that one `forget` deregisters; it is one append."""
MAX_RETRIES_NAMED = 16
"""Retries of one task whose names are generated, and the latest ones that the task remembers."""
MAX_TITLE_CHARS = 256
MAX_TEXT_BYTES = 4 * 1024
"""A message, note or error, in UTF-8."""
MAX_REASON_CHARS = 1024
MAX_ACTOR_CHARS = 128
MAX_COMMAND_ID_CHARS = 128
MAX_LABELS = 32
MAX_LABEL_CHARS = 64
MAX_CAPABILITIES = 64
MAX_CAPABILITY_CHARS = 64
MAX_CAPACITY = 500
MAX_CLAIM = 100
MAX_OVERDUE_AT_CLAIM = 200
"""Queued tasks past their deadline that one claim fails on its way to those that it is granted."""
MAX_CLAIM_WAIT_S = 30.0
MAX_SILENCE_S = 3600.0
MAX_STEAL_TASKS = 200
MAX_PAGE = 1000
DEFAULT_PAGE = 100
MAX_ESTIMATED_HOURS = 10_000.0
MAX_DEADLINE_S = 10 * 365 * 86_400.0
MAX_STALL_S = 30 * 86_400.0
MAX_DELAY_S = 10 * 365 * 86_400.0
"""The longest that a queued task waits for its time."""
MAX_BUDGET = 1000
MAX_LATE_REPORTS = 10
"""Late reports kept as evidence, for each token."""
MAX_FORMER_LEASES = 16
"""Former leases of a task that are remembered for judging late reports; the oldest are forgotten first."""
MAX_DIRECTIVES = 500
"""Directives kept for one agent; the oldest are dropped first."""
MAX_EVENTS_PER_COMMAND = 1000
"""One command's events go in one atomic batch, and the broker takes no more than this."""
