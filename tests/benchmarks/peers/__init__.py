"""Custody beside what people would pick instead, on real servers, in one run: `python -m tests.benchmarks.peers -h`."""
