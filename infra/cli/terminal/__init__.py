"""What a person sees: output, progress, lag, replies as text."""
