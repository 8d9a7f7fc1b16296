"""The commands: `custody x` is the function `x` in x.py, with `_` behind a name that is a Python keyword."""
