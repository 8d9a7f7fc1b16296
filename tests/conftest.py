"""Fixtures and settings for every test."""

import os

from hypothesis import settings

pytest_plugins = ["tests.support.broker", "tests.support.postgres"]

# A slow machine is no failure; what CI finds, anybody can repeat.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
