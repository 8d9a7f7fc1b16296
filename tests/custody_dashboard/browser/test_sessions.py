"""A person with a token: the page asks for it, shows the way out, and ends with the session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.custody_dashboard.browser.watcher import Watcher
from tests.support.browser import Page
from tests.support.dashboard import DashboardProcess, Stage
from tests.support.secret_files import write_secret

pytestmark = pytest.mark.system

ANN, BOB = "ann-token-0123456789-abc", "bob-token-0123456789-abc"
BOTH = f"ann:operator:{ANN}\nbob:viewer:{BOB}\n"


def test_a_session_begins_with_a_token_and_ends_with_it_or_by_leaving(
    shared_page: Page, stage: Stage, tmp_path: Path
) -> None:
    file = write_secret(tmp_path / "tokens", BOTH)
    dashboard = DashboardProcess(stage.broker, "--token-file", str(file))
    try:
        watcher = Watcher(shared_page, dashboard.url)
        # What is asked for without a session is refused, which the browser logs.
        watcher.may_fail = True
        shared_page.visit(dashboard.url)
        watcher.log_in(ANN)
        watcher.sees("Live", ".badge")
        watcher.sees("Drain", ".strip .actions button")
        write_secret(file, BOTH.replace("ann:operator", "ann:viewer"))
        watcher.sees("looks only", ".person")
        write_secret(file, f"bob:viewer:{BOB}\n")
        watcher.log_in(BOB)
        watcher.sees("bob (looks only)", ".person")
        watcher.sees("Live", ".badge")
        watcher.click("button", "Log out")
        watcher.sees("Token", "label")
        watcher.check_complaints()
    finally:
        dashboard.kill()
