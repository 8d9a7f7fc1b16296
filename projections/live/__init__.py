"""Folds of acknowledged events for people who look at a pool: what the dashboard, `top` and alerts show.

Pure: the clock is an argument. The documents hold JSON values; texts in them come from outside and stay text.
"""
