"""The post-mortem page: one self-contained HTML file."""
