"""What top shows as lines of text: pure, and the same on a screen and in a snapshot."""
