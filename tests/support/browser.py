"""A real browser, where one is installed: Debian's chromium with its driver."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.requirements import missing

REQUIRED = "CUSTODY_REQUIRE_BROWSER"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 30.0
"""A page shows what is true within a second or two, on a machine with nothing else to do."""
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions")


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """A browser without a window. Where none starts, the test is skipped or fails; see `missing`."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        missing(f"no {'browser' if program is None else 'chromedriver'} is installed", REQUIRED)
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for each in OPTIONS:
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        chrome = webdriver.Chrome(options=options, service=Service(driver))
    except WebDriverException as error:
        missing(f"the browser does not start: {error.msg}", REQUIRED)
    try:
        yield chrome
    finally:
        chrome.quit()


class Page:
    """A page from a file or a server, and what the browser logs about it."""

    def __init__(self, chrome: webdriver.Chrome) -> None:
        self.chrome = chrome

    def open(self, file: Path, *, scripts: bool = True, width: int = 1400) -> None:
        """Load a file; forgets what was logged before."""
        self._tell("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.visit(file.as_uri(), width=width)

    def visit(self, url: str, *, width: int = 1400, height: int = 1000, scheme: str = "light") -> None:
        """Load an address; forgets what was logged before. `scheme`: what the system prefers, light or dark."""
        self._tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.chrome.get("about:blank")
        self._logged("browser")
        self._logged("performance")
        self.chrome.get(url)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        ActionChains(self.chrome).send_keys(*keys).perform()

    def until(self, script: str, *arguments: Any, patience_s: float = PATIENCE_S) -> Any:
        """Wait until a script returns something true, and return it."""
        try:
            return WebDriverWait(self.chrome, patience_s, poll_frequency=0.03).until(
                lambda _: self.run(script, *arguments)
            )
        except TimeoutException:
            shown = self.run("return document.body.innerText")
            pytest.fail(f"never true: {script} {arguments}; shown: {shown[:2000]}; logged: {self.complaints()}")

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self.chrome.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """Return what the browser logged: errors, warnings, and what the page's policy blocked."""
        return [entry["message"] for entry in self._logged("browser")]

    def requests(self) -> list[str]:
        """Return every address that was asked for; what the page's policy blocked was not."""
        events = [json.loads(entry["message"])["message"] for entry in self._logged("performance")]
        blocked = {each["params"]["requestId"] for each in events if each["params"].get("blockedReason") == "csp"}
        return [
            each["params"]["request"]["url"]
            for each in events
            if each["method"] == "Network.requestWillBeSent" and each["params"]["requestId"] not in blocked
        ]

    def _logged(self, kind: str) -> list[dict[str, Any]]:
        """Return what was logged since the last time."""
        entries: list[dict[str, Any]] = self.chrome.get_log(kind)  # type: ignore[no-untyped-call] # selenium has no types for it
        return entries

    def _tell(self, command: str, **values: Any) -> None:
        self.chrome.execute_cdp_cmd(command, values)
