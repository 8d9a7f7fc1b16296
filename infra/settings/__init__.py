"""Every setting, its source, and the credentials that follow from the settings."""
