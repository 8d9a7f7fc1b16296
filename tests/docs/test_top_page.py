"""The page on top says what top does: its keys, its verbs, its options."""

import re

from custody_top.forms import KEYS
from custody_top.tables.tasks_table import STATUSES
from projections.live.attention import DEADLINE_S
from tests.docs.pages import read

PAGE = read("docs/top.md")


def test_its_verbs_have_their_keys() -> None:
    _, acting = PAGE.split("## Acting")
    assert dict(re.findall(r"(?m)^\| (\w) \| (\w+) \|", acting)) == KEYS


def test_what_tasks_are_chosen_by_is_listed() -> None:
    assert ", ".join(each.replace("_", " ") for each in STATUSES) in PAGE


def test_its_numbers_are_the_programs() -> None:
    assert DEADLINE_S == 600
    assert "deadlines within ten minutes" in PAGE
