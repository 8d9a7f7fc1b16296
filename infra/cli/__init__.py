"""The command line. Commands, queries and flags are made from the models that the service itself checks with."""
