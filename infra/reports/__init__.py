"""Reports as files: audit formats, what-if plots, the post-mortem page."""
