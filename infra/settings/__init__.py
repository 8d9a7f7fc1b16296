"""Every setting, where it comes from, and the credentials that follow from it."""
