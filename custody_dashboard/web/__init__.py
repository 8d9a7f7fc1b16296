"""What every endpoint stands on: errors, parameters, who asks, checks of requests, files."""
