"""The operations page: what it says that is seen, the program says, and a test makes it say it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.cases import case
from tests.support.checkout import ROOT

ROOMS = ("handlers", "infra", "projections", "domain")


def test_every_line_in_the_table_of_what_is_seen_is_one_that_is_said() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    table = page.partition("## What you see, what it means, what to do\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ") and "`" in line]
    said = [text for room in ROOMS for text in texts(ROOT / room)]
    provoked = texts(ROOT / "tests")
    assert len(rows) > 10
    for row in rows:
        for text in re.findall(r"`([^`]+)`", row):
            with case(text):
                assert text.startswith("custody ") or any(text in source for source in said)
                assert any(text.rstrip(": (") in source for source in provoked)


def texts(room: Path) -> list[str]:
    """Return a room's sources; a text that goes over several lines is one text."""
    return [re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in room.rglob("*.py")]
