"""Text of agents and of other writers, as people are shown it."""

from hypothesis import given
from hypothesis import strategies as st

from infra.host.printable import printable, printable_lines


@given(st.text())
def test_what_is_invisible_or_turns_the_writing_direction_is_spelt_out(text: str) -> None:
    assert printable(text).isprintable()
    assert all(char.isprintable() or char == "\n" for char in printable_lines(text))
    assert printable_lines("a\u202eb\0\nc") == "a\\u202eb\\x00\nc"
