"""Background work: the sweeper, the stealer, the snapshotter. They reach the writer through `PoolAccess` alone."""
