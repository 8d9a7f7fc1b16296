"""Background work: the sweeper, the stealer, the snapshotter, and what remembers the log's end.

The first three reach the writer through `PoolAccess` alone; the last one needs no writer.
"""
