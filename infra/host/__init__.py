"""The machine that Custody runs on: clock, disk, files, signals, optional libraries."""
