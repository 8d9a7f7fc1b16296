"""The pytest plugin: a real service, started once in a session, and a pool for each test.

    async def test_a_report_is_made(custody):
        async with custody.client() as client, custody.working(worker):
            task = await client.submit("report", {"pages": 3})
            assert await task.result(10) == "report.pdf"

It needs the package `custody`, which has the service, beside this one; without it the tests are skipped. It brings no
event loop: asynchronous tests need a plugin such as pytest-asyncio.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from custody_client.testing.pool import Custody
from custody_client.testing.service import NoServiceInstalledError, RunningService, running_service


@pytest.fixture(scope="session")
def custody_settings() -> dict[str, str]:
    """The service's settings beside those that make it quick; override it for others."""
    return {}


@pytest.fixture(scope="session")
def custody_service(
    tmp_path_factory: pytest.TempPathFactory, custody_settings: dict[str, str]
) -> Iterator[RunningService]:
    """A service and its broker, in a temporary directory, for the whole session."""
    try:
        with running_service(tmp_path_factory.mktemp("custody"), settings=custody_settings) as service:
            yield service
    except NoServiceInstalledError as error:
        pytest.skip(str(error))


@pytest.fixture
def custody(custody_service: RunningService) -> Iterator[Custody]:
    """A pool of that service; what a test leaves in it is cleared away."""
    made = Custody(custody_service)
    yield made
    made.clear()
