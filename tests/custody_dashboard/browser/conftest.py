"""One pool with its dashboard, and one browser, for all tests here; each test has tasks and agents of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.custody_dashboard.browser.watcher import Watcher
from tests.support.browser import Page, browser
from tests.support.dashboard import DashboardProcess, Stage, watched_pool


@pytest.fixture(scope="session")
def shared_page() -> Iterator[Page]:
    with browser() as chrome:
        yield Page(chrome)


@pytest.fixture(scope="session")
def watched(shared_page: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, DashboardProcess]]:
    # The browser is asked for first: without one nothing is started.
    # No stealer: it would move what one test queued to the idle agents of another.
    with watched_pool(tmp_path_factory.mktemp("watched"), "--as", "Ada", steal_enabled=False) as found:
        yield found


@pytest.fixture
def stage(watched: tuple[Stage, DashboardProcess]) -> Stage:
    """The pool, with nothing queued: the page lists first what has waited longest, whichever test left it."""
    stage, _ = watched
    stage.ask("ops.cancel", status="queued")
    return stage


@pytest.fixture
def dashboard(watched: tuple[Stage, DashboardProcess]) -> DashboardProcess:
    return watched[1]


@pytest.fixture
def watcher(shared_page: Page, dashboard: DashboardProcess) -> Iterator[Watcher]:
    """Someone who looks; whatever happens, the browser has complained of nothing that was not expected."""
    found = Watcher(shared_page, dashboard.url)
    yield found
    found.check_complaints()
