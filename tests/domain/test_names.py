"""What may be a name or a task's id: the patterns, matched against the whole text."""

import pytest

from domain.names import is_name, is_task_id


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
