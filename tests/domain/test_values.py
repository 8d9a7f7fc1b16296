"""Values that more than one part of the domain speaks of."""

import pytest

from domain.values import Priority


def test_ranks_rise_from_low_to_critical() -> None:
    assert [priority.rank for priority in (Priority.LOW, Priority.MEDIUM, Priority.HIGH, Priority.CRITICAL)] == [
        0,
        1,
        2,
        3,
    ]


def test_urgent_means_critical_and_is_never_written() -> None:
    assert Priority("urgent") is Priority.CRITICAL
    assert "urgent" not in [str(priority) for priority in Priority]


@pytest.mark.parametrize("word", ["", "Urgent", "asap", None, 3])
def test_any_other_word_is_refused(word: object) -> None:
    with pytest.raises(ValueError, match="is not a valid Priority"):
        Priority(word)  # type: ignore[arg-type] # what is refused
