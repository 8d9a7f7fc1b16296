"""What acts by itself: the sweeper, the stealer, the snapshotter. They meet the writer through one narrow door."""
