"""One run of a command: settings, connection, the log opened for reading, errors as exit statuses."""
