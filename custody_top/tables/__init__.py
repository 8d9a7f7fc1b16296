"""The tables of top: which rows, in which order, and what each column says."""
