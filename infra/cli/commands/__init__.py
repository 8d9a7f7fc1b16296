"""The commands, one file for each kind of question or act."""
