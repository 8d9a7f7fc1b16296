"""The pool as it is now: one copy of it, and its changes for any number of browsers."""
