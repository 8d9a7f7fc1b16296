"""The error of an export file, apart from its reader: a command catches it before it reads any file."""


class ExportFileError(Exception):
    """The file is not a complete export; the message is one line."""
