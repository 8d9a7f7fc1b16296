"""Where log records go: standard error, as lines of text or as JSON with one object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.host.printable import PrintableFormatter

if TYPE_CHECKING:
    from types import TracebackType

_LOG = logging.getLogger(__name__)
TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """Formats a record as an object: `time`, `level`, `logger`, `message`, and `exception` or `stack` if it has one.

    All of ASCII, and with every control character escaped: whatever an agent writes, a record is one line.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            found["stack"] = self.formatStack(record.stack_info)
        return json.dumps(found)


def configure_logging(level: str, *, as_json: bool, text_format: str = TEXT_FORMAT) -> None:
    """Log records of a level or a more severe one to standard error.

    As JSON, warnings of Python and the fault that ends the process are records too: each line there is an object then.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else PrintableFormatter(text_format))
    logging.basicConfig(handlers=[handler], level=level.upper())
    if as_json:
        logging.captureWarnings(capture=True)
        sys.excepthook = _log_uncaught


def logs_json() -> bool:
    """Return whether records are logged as JSON."""
    return any(isinstance(each.formatter, JsonFormatter) for each in logging.getLogger().handlers)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        _LOG.critical("ended by a fault", exc_info=(kind, error, traceback))
