"""Reports as files: audit formats, the plots and policies of what-if, the post-mortem page."""
