"""Someone who looks at the dashboard, in a real browser."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from selenium.webdriver.common.by import By

from tests.support.browser import PATIENCE_S, Page

_EXPECTED = (
    "net::ERR_",
    "responded with a status of 401",
    "responded with a status of 503",
    "responded with a status of 409",
)
"""What the browser logs by itself of requests that fail while something is down."""

_FOCUSED = "(e => e.ariaLabel || e.innerText || e.id || e.tagName)(document.activeElement)"


class Watcher:
    """The page in a browser, and what is done there."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.may_fail = False
        """Whether something is taken down, so that requests may fail."""

    def look(self, view: str = "now", task_or_agent: str | None = None, *, query: str = "", **how: Any) -> None:
        """Open a view and wait until the pool is shown."""
        place = view if task_or_agent is None else f"{view}/{quote(task_or_agent, safe='')}"
        self.page.visit(f"{self.url}#/{place}{query}", **how)
        self.page.until("return !!document.querySelector('.badge-live ~ nav, .badge-past ~ nav')")
        self.page.until("return !!document.querySelector('main h1')")

    def go(self, view: str, task_or_agent: str | None = None) -> None:
        """Go on to another view, as its link does, and wait until it shows what it has."""
        place = view if task_or_agent is None else f"{view}/{quote(task_or_agent, safe='')}"
        name = view if task_or_agent is None else f"{view}/{task_or_agent}"
        self.page.run("location.hash = arguments[0]", f"#/{place}")
        self.page.until("return document.getElementById('main').dataset.view === arguments[0]", name)
        self.page.until("return !/Looking…|Reading the log…/.test(document.body.innerText)")

    def sees(self, text: str, within: str = "body", *, patience_s: float = PATIENCE_S) -> None:
        """Wait until a text is shown."""
        script = "return [...document.querySelectorAll(arguments[1])].some(e => e.innerText.includes(arguments[0]))"
        self.page.until(script, text, within, patience_s=patience_s)

    def sees_no_more(self, selector: str) -> None:
        """Wait until nothing fits a selector."""
        self.page.until("return !document.querySelector(arguments[0])", selector)

    def click(self, selector: str, text: str = "") -> None:
        """Click on the first element that fits and has the text in it."""
        self.page.until(
            "const found = [...document.querySelectorAll(arguments[0])].find(each =>"
            " (each.innerText + (each.ariaLabel ?? '')).includes(arguments[1]) && !each.disabled);"
            "found?.click(); return !!found",
            selector,
            text,
        )

    def open_needs(self) -> None:
        """Have every need listed: of many of one kind only the first are."""
        self.page.until("return !!document.querySelector('.need')")
        self.page.run("document.querySelectorAll('.need-more [aria-expanded=false]').forEach(each => each.click())")

    def type(self, selector: str, text: str) -> None:
        """Type into a field, once it is there."""
        self.page.until(
            "const field = document.querySelector(arguments[0]);"
            " return !!field && !field.disabled && field.getClientRects().length > 0",
            selector,
        )
        self.page.chrome.find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def log_in(self, token: str) -> None:
        """Give a token where the page asks for one, in place of what is in the field."""
        self.sees("Token", ".login")
        self.page.run("document.querySelector('#token').value = ''")
        self.type("#token", token)
        self.click(".login button")

    def text(self, selector: str) -> str:
        """Return what an element shows."""
        script = "const e = document.querySelector(arguments[0]); return e?.innerText ?? e?.textContent ?? ''"
        return str(self.page.run(script, selector))

    def focused(self) -> str:
        """Return what has the focus, in words."""
        return str(self.page.run(f"return {_FOCUSED}"))

    def sees_focus(self, name: str) -> None:
        """Wait until what has the focus is this, in words."""
        self.page.until(f"return ({_FOCUSED}) === arguments[0]", name)

    def sees_ids(self, *ids: str) -> None:
        """Wait until the rows are these and no others; the first id in each is its own."""
        found = "[...document.querySelectorAll('.rows tr')].map(row => row.querySelector('td .id')?.innerText)"
        self.page.until(f"return {found}.filter(Boolean).join(' ') === arguments[0]", " ".join(ids))

    def check_complaints(self) -> None:
        """Fail if the browser complained of something."""
        complaints = self.page.complaints()
        found = [each for each in complaints if not (self.may_fail and any(word in each for word in _EXPECTED))]
        assert not found, json.dumps(found, indent=1)
