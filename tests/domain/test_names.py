"""What may be a name or a task's id: the patterns, matched against the whole text."""

import pytest

from domain import limits
from domain.names import NAME_IN_WORDS, TASK_ID_IN_WORDS, is_name, is_task_id


@pytest.mark.parametrize("name", ["a", "A-z_09", "x" * 64])
def test_a_name_is_also_a_task_id(name: str) -> None:
    assert is_name(name)
    assert is_task_id(name)


@pytest.mark.parametrize("text", ["", "a ", " a", "a\n", "ä", "a\0", "x" * 129])
def test_what_is_neither(text: str) -> None:
    assert not is_name(text)
    assert not is_task_id(text)


@pytest.mark.parametrize("text", ["owner/repo#12", "a.b", "*", ">", "!", "~", "x" * 65, "x" * 128])
def test_a_task_id_need_not_be_a_name(text: str) -> None:
    assert is_task_id(text)
    assert not is_name(text)


@pytest.mark.parametrize(
    ("words", "pattern"), [(NAME_IN_WORDS, limits.NAME_PATTERN), (TASK_ID_IN_WORDS, limits.TASK_ID_PATTERN)]
)
def test_the_words_name_the_length_of_the_pattern(words: str, pattern: str) -> None:
    shortest, longest = pattern.removesuffix("}$").rpartition("{")[2].split(",")
    assert words.startswith(f"{shortest} to {longest} ")
