"""The operations page: what it says that is seen, the program says."""

from __future__ import annotations

import re

from tests.support.cases import case
from tests.support.checkout import ROOT

ROOMS = ("handlers", "infra", "projections", "domain")


def test_every_line_in_the_table_of_what_is_seen_is_one_that_is_said() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    table = page.partition("## What you see, what it means, what to do\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ") and "`" in line]
    sources = [path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    # A text that goes over several lines of source is one text.
    said = [re.sub(r'"\s*\n\s*f?"', "", source) for source in sources]
    assert len(rows) > 10
    for row in rows:
        for text in re.findall(r"`([^`]+)`", row):
            with case(text):
                assert text.startswith("custody ") or any(text in source for source in said)
