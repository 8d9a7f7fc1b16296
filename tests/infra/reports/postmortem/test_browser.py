"""The page in a real browser: it shows, it answers, it asks for nothing, and nothing of a log runs in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.infra.reports.postmortem.conftest import HOSTILE, html, story
from tests.support.browser import Page
from tests.support.postmortem import found

pytestmark = pytest.mark.system


def position(event: str) -> str:
    """The position of the story's first event of a name."""
    return str(next(each.position for each in story().log if each.name == event))


def lit(page: Page) -> list[str]:
    """What is highlighted, as tag names, the table's row first."""
    return sorted(
        (each.tag_name for each in page.chrome.find_elements(By.CSS_SELECTOR, ".on")), key=lambda tag: tag != "tr"
    )


def click(page: Page, selector: str) -> None:
    event = "new MouseEvent('click', {bubbles: true, cancelable: true})"
    page.run(f"document.querySelector(arguments[0]).dispatchEvent({event})", selector)


def test_it_opens_without_a_request_or_a_complaint(at_page: Page, written: Path) -> None:
    assert at_page.requests() == [written.as_uri()]
    assert at_page.complaints() == []
    assert at_page.chrome.find_element(By.TAG_NAME, "h1").text == f"Post-mortem: {HOSTILE}"


def test_hostile_text_stays_text(at_page: Page) -> None:
    assert at_page.run("return window.owned") is None
    assert at_page.run("return document.querySelectorAll('img').length") == 0
    assert at_page.run("return document.querySelectorAll('script').length") == 2
    meaning = at_page.chrome.find_element(By.CSS_SELECTOR, f"#e{position('progressed')} .meaning").text
    assert HOSTILE in meaning


def test_a_script_from_outside_would_not_run(at_page: Page) -> None:
    at_page.run(
        "const s = document.createElement('script'); s.textContent = 'window.owned = 3'; document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'https://example.org/x.png'; document.body.append(i);"
    )
    assert at_page.run("return window.owned") is None
    assert any("Content Security Policy" in each for each in at_page.complaints())
    assert not [each for each in at_page.requests() if each.startswith("https:")]


def test_clicking_a_mark_lights_up_its_row_and_the_other_way_round(at_page: Page) -> None:
    reported = position("progressed")
    click(at_page, f"#plot .mark[data-e='{reported}']")
    assert lit(at_page) == ["tr", "a", "a"]
    assert at_page.run("return document.querySelector('tr.on').id") == f"e{reported}"

    expired = position("expired")
    at_page.chrome.find_element(By.CSS_SELECTOR, f"#e{expired} .meaning").click()
    assert at_page.run("return document.querySelector('tr.on').id") == f"e{expired}"
    assert "e-expired" in at_page.run("return document.querySelector('#plot a.on').getAttribute('class')")


def test_a_finding_leads_to_its_events(at_page: Page) -> None:
    click(at_page, f"#causes a[data-e='{position('expired')}']")
    assert at_page.run("return document.querySelector('tr.on').id") == f"e{position('expired')}"


def test_the_filter_narrows_the_table(at_page: Page) -> None:
    box = at_page.chrome.find_element(By.ID, "filter")
    box.send_keys("expired sweeper")
    shown = at_page.run("return [...document.querySelectorAll('tbody tr')].filter(r => !r.hidden).map(r => r.id)")
    assert f"e{position('expired')}" in shown
    assert 0 < len(shown) < len(story().log)
    assert at_page.run("return document.getElementById('count').textContent").startswith(f"{len(shown)} of ")
    click(at_page, f"#plot .mark[data-e='{position('progressed')}']")
    assert at_page.run("return document.getElementById('filter').value") == "", "what is selected is shown"


def width(page: Page) -> float:
    found: Any = page.run("return document.getElementById('plot').getBoundingClientRect().width")
    return float(found)


def test_zoom_and_pan_by_buttons_wheel_and_keys(at_page: Page) -> None:
    whole = width(at_page)
    click(at_page, "[data-do=in]")
    assert width(at_page) == pytest.approx(1.6 * whole, rel=0.01)
    before = at_page.run("return document.getElementById('scroller').scrollLeft")
    click(at_page, "[data-do=right]")
    assert at_page.run("return document.getElementById('scroller').scrollLeft") > before
    click(at_page, "[data-do=fit]")
    assert width(at_page) == pytest.approx(whole, rel=0.01)
    scroller = at_page.chrome.find_element(By.ID, "scroller")
    scroller.send_keys("+")
    assert width(at_page) > whole
    scroller.send_keys("0")
    at_page.run(
        "document.getElementById('plot').dispatchEvent(new WheelEvent('wheel',"
        " {deltaY: -300, ctrlKey: true, bubbles: true, cancelable: true, clientX: 500}))"
    )
    assert width(at_page) > 2 * whole


def test_the_keyboard_goes_from_mark_to_mark_and_selects(at_page: Page) -> None:
    scroller = at_page.chrome.find_element(By.ID, "scroller")
    scroller.send_keys(Keys.ARROW_RIGHT)
    first = at_page.run("return document.activeElement.dataset.e")
    keys = ActionChains(at_page.chrome)
    keys.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ENTER).perform()
    chosen = at_page.run("return document.activeElement.dataset.e")
    assert first
    assert chosen
    assert at_page.run("return document.querySelector('tr.on').dataset.e") == chosen.split(" ")[0]
    assert at_page.run("return document.querySelectorAll('#plot a[tabindex=\"0\"]').length") == 1


def test_it_says_what_the_rules_said_at_a_moment(at_page: Page) -> None:
    click(at_page, f"#plot .mark[data-e='{position('progressed')}']")
    said = at_page.chrome.find_element(By.ID, "then-body").text
    assert "in progress" in said
    assert "the lease expires, unless the holder is heard" in said
    assert "its grace ends" in said
    at_page.run(
        "const c = document.getElementById('cursor'); c.value = 999;"
        "c.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert at_page.chrome.find_element(By.ID, "then-body").text != said


def test_it_is_of_use_without_scripts(shared_page: Page, written: Path) -> None:
    shared_page.open(written, scripts=False)
    chrome = shared_page.chrome
    assert len(chrome.find_elements(By.CSS_SELECTOR, "tbody tr")) == len(story().log)
    bar = chrome.find_element(By.CSS_SELECTOR, "#plot .bar .body")
    assert bar.size["width"] > 5
    assert not chrome.find_element(By.CSS_SELECTOR, ".tools").is_displayed()
    assert chrome.find_element(By.CSS_SELECTOR, ".no-js").is_displayed()
    shared_page.open(written)


@pytest.mark.parametrize("wide", [800, 1360, 1600])
def test_nothing_sticks_out_sideways(shared_page: Page, written: Path, wide: int) -> None:
    shared_page.open(written, width=wide)
    assert shared_page.run("return document.documentElement.scrollWidth") <= wide
    hidden = "const rows = document.querySelector('.rows'); return rows.scrollWidth - rows.clientWidth"
    assert shared_page.run(hidden) == 0, "no part of an event is cut off"


def test_a_busy_log_is_shown_within_limits(shared_page: Page, tmp_path: Path) -> None:
    s = story()
    for number in range(40):
        s.holds("C", f"W{number}", capacity=200)
    file = tmp_path / "busy.html"
    file.write_text(html(found(s, limit=100)), encoding="utf-8")
    shared_page.open(file)
    assert shared_page.complaints() == []
    assert len(shared_page.chrome.find_elements(By.CSS_SELECTOR, "tbody tr")) == 100
