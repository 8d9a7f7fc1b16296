"""What a test needs of the machine: where that is missing it is skipped, or fails if the environment says so."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(reason: str, variable: str) -> NoReturn:
    """Skip the test for this reason; fail it if the variable, such as CUSTODY_REQUIRE_DOCKER, is 1."""
    if os.environ.get(variable) == "1":
        pytest.fail(reason)
    pytest.skip(reason)
