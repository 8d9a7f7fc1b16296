"""The pool as it was: rebuilt states, and how busy it was when."""
