"""One run of a command: settings, connection, a log opened for reading, errors as exit codes."""
