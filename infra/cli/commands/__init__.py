"""The commands: `custody x` is the function `x` in x.py, with `_` behind a name that is a Python keyword.

The verbs of operators and agents, and the queries, are made from their models in ops.py, agent.py and query.py.
"""
