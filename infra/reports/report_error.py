"""The error of a report."""


class ReportError(Exception):
    """A report cannot be written in this form here; the message is one line."""
