"""A failure of a command of the line."""


class CommandError(Exception):
    """A command cannot do what it was asked to do. The message is one line; the exit status is EXIT_FAILED."""
