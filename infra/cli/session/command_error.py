"""What a command's failure means to a shell."""

EXIT_REFUSED = 1
"""The service refused, or the input was wrong."""
EXIT_USAGE = 2
"""Wrong usage, or unusable settings."""
EXIT_NO_SERVICE = 3
"""No service or no broker answers."""
EXIT_INTERRUPTED = 130


class CommandError(Exception):
    """A command cannot do what it was asked to do. The message is one line; the exit status is EXIT_REFUSED."""
