"""The rules of judgement: how long a lease runs, when silence is too long, what is stuck, what moves where.

Plain functions of their arguments: no clock, no randomness, no I/O. Times come in as numbers of seconds,
answers are numbers, closed enums or frozen records. Three ancestors gave the rules: the adaptive assignment
leases, the work-stealing coordinator and the stuck-task sweeper; each module names the one it follows.
"""
