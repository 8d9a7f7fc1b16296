"""The post-mortem page: one HTML file that needs nothing else."""
