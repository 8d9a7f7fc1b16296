"""The screen of top: widgets, keys, and forms that ask before something is done."""
