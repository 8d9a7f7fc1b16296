"""The machine that Custody runs on: clock, disk, small files, signals, optional libraries."""
