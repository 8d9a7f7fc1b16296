"""The rules: how long a lease runs, when silence is too long, when a task is stuck, which tasks move between agents.

Pure functions of their arguments. They take durations in seconds, and moments as datetimes; they return numbers,
moments, closed enums or frozen records. The rules come from three earlier systems: the adaptive assignment leases,
the work-stealing coordinator and the stuck-task sweeper. Each module names the one that it follows as its source.
"""
