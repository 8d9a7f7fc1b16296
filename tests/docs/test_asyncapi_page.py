"""docs/asyncapi.html in a real browser, from a file: it lays out every operation and asks for nothing from outside."""

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from docs.generate import DOCS
from tests.support.asyncapi import document
from tests.support.browser import Page, browser
from tests.support.vendored import assert_as_published

VENDOR = DOCS / "vendor"
PATIENCE_S = 240
"""The bundle takes seconds, and much longer beside other tests."""


def test_vendored_files_are_as_published() -> None:
    assert_as_published(VENDOR)


@pytest.mark.system
@pytest.mark.timeout(PATIENCE_S + 60)
def test_it_shows_every_operation_and_needs_no_network() -> None:
    with browser() as chrome:
        chrome.set_page_load_timeout(PATIENCE_S)
        chrome.set_script_timeout(PATIENCE_S)
        page = Page(chrome)
        page.open(DOCS / "asyncapi.html", width=1900)
        try:
            WebDriverWait(chrome, PATIENCE_S).until(lambda each: each.find_elements(By.ID, "operations"))
        except TimeoutException:
            pytest.fail(f"nothing is laid out: {page.complaints()}")
        shown = page.run(
            "return [...document.querySelectorAll('#operations .bg-orange-600')].map(each => each.textContent)"
        )
        assert document()["operations"].keys() <= set(shown)
        errors = page.run("return document.querySelector('#messages').textContent")
        assert all(code in errors for code in ("stale_token", "unavailable"))
        assert page.complaints() == []
        assert all(each.startswith((DOCS / "").as_uri()) for each in page.requests())
