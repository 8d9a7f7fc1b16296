"""Log records as JSON, one object a line, for what collects logs; the service's have the same keys."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from custody_client.log_context import TaskFields

_TASK = ("agent", "task_id", "token", "attempt")


class JsonFormatter(logging.Formatter):
    """Formats a record as an object: `time`, `level`, `logger`, `message`, and `exception` or `stack` if it has one.

    With the filter `TaskFields` also `agent`, `task_id`, `token` and `attempt` of the task that it is about, if any.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        found.update((name, value) for name in _TASK if (value := getattr(record, name, "")) != "")
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            found["stack"] = self.formatStack(record.stack_info)
        return json.dumps(found, default=str)


def log_as_json(level: int) -> None:
    """Log records of a level or a more severe one to standard error, and Python's warnings too."""
    handler = logging.StreamHandler()
    handler.addFilter(TaskFields())
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(capture=True)
